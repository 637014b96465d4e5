# cscope: a database of 1,000 functions, asked
# for: large buffers
# needs: cscope
# program: cscope
cd "$1" || exit 98
export HOME=$PWD; for i in $(seq 1000); do echo "int f$i(void) { return f$((i/2))(); }"; done > a.c; cscope -b a.c && cscope -d -L -3 f77 a.c | wc -l
