# gdb: a breakpoint in a program that it starts, a backtrace, and its Python
# for: ptrace, Python inside, big DWARF
# needs: gdb gcc
# program: gdb
# within 3%: it reads symbols on several threads
cd "$1" || exit 98
printf '#include <stdlib.h>\nint leaf(int n) { return n * 2; }\nint main(void) { int s = 0; for (int i = 0; i < 3; i++) s += leaf(i); return s; }\n' > a.c && gcc -g -o a a.c
gdb -nx -batch -ex 'break leaf' -ex run -ex 'bt' -ex 'python print(sum(range(10)))' -ex 'kill' ./a 2>/dev/null | grep -v -e '^Using host' -e '^\[Thread' -e 'Inferior' | sed 's/0x[0-9a-f]*/ADDRESS/g'
