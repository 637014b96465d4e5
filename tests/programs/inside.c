//! Marks that the program takes itself; links and runs without the shim.
#include "step.h"
#include "heapshim.h"

static void *volatile kept;

static void mark(const char *name) {
  if (heapshim_mark && heapshim_mark(name) != 0) abort();
}

int main(void) {
  kept = malloc(37);
  mark("one");
  kept = malloc(41); // row: growth=41/1 live=41/1 total=41/1 function=main
  mark("two");
  kept = malloc(43);
  step(heapshim_active && heapshim_active() ? "active" : "bare");
  return 0;
}
