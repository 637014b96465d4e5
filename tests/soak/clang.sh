# clang: a file of C++ is compiled and linked by lld
# for: big code, allocators of its own on top of malloc
# needs: clang
# program: clang
cd "$1" || exit 98
cat > a.c <<'E'
#include <stdio.h>
#include <stdlib.h>
struct list { struct list *next; int value; };
int main(void) { struct list *all = 0; for (int i = 0; i < 1000; i++) { struct list *one = malloc(sizeof *one); one->next = all; one->value = i; all = one; } int sum = 0; for (; all; all = all->next) sum += all->value; printf("%d\n", sum); return 0; }
E
clang -O2 -g a.c -o a && ./a && clang -S -emit-llvm -O1 a.c -o a.ll && grep -c define a.ll
