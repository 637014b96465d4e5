//! What stress.c loads and unloads.
#include <stdlib.h>

void *work(void) {
  void *volatile block = malloc(56); // row: function=work
  return block;
}
