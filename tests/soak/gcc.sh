# gcc: a C file with optimisation and debug information, and a link
# for: vfork, collect2, own page allocator
# needs: gcc ld
# program: cc1
# within 1%: its page tables depend on where mappings lie
cd "$1" || exit 98
printf '#include <stdio.h>\n#include <math.h>\nstatic double f(int n) { return n < 2 ? 1 : f(n - 1) + sin(n); }\nint main(void) { printf("%%.3f\\n", f(200)); return 0; }\n' > a.c
gcc -O2 -g -o a a.c -lm && ./a
