//! A plugin that leaks SIZE bytes each time it is asked to.
#include <stdlib.h>

static void *volatile kept;

void leak(void) {
  kept = malloc(SIZE); // row:
  kept = NULL;
}
