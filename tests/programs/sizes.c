// Blocks of ever other sizes from one line: of 1, 2, 3 … SIZES bytes, each freed when the next is there.
//
//   sizes SIZES
#include <stdlib.h>

int main(int count, char **words) {
  unsigned long sizes = count > 1 ? strtoul(words[1], NULL, 10) : 0;
  char *volatile kept = NULL;
  for (unsigned long size = 1; size <= sizes; size++) {
    char *before = kept;
    kept = malloc(size); // each size once
    free(before);
  }
}
