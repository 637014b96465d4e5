# binutils: objects are listed, disassembled, copied and linked
# for: obstacks, plugins
# needs: ld objdump objcopy nm cc
# program: x86_64-linux-gnu-objdump
cd "$1" || exit 98
for i in $(seq 60); do echo "int f$i(int a) { return a * $i; }"; done > a.c; cc -g -O1 -c a.c && objdump -d a.o | grep -c '>:'; objdump -W a.o | wc -l; nm a.o | wc -l; objcopy --only-keep-debug a.o a.debug; readelf -S a.debug | grep -c debug
