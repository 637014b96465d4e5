# nasm: 3,000 macros are assembled
# for: hash tables, many small blocks
# needs: nasm
# program: nasm
cd "$1" || exit 98
{ echo '%macro put 1'; echo ' mov eax, %1'; echo ' add ebx, eax'; echo '%endmacro'; echo 'section .text'; for i in $(seq 3000); do echo "l$i: put $i"; done; } > a.asm; nasm -f elf64 -o a.o a.asm && wc -c < a.o
