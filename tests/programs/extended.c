//! jemalloc's extended interface, which the shim offers over every allocator: a program that finds the symbols may use them.
#include "step.h"

void *mallocx(size_t size, int flags) __attribute__((weak));
void *rallocx(void *block, size_t size, int flags) __attribute__((weak));
void sdallocx(void *block, size_t size, int flags) __attribute__((weak));
void dallocx(void *block, int flags) __attribute__((weak));

static void *volatile kept;

int main(void) {
  step("warm");
  if (!mallocx || !rallocx || !sdallocx || !dallocx) abort();
  kept = mallocx(37, 0); // row: growth=37/1 total=37/1 function=main
  kept = mallocx(41, 6); // row: growth=41/1 total=41/1 function=main
  if ((unsigned long)kept % 64) abort();
  kept = mallocx(43, 0x40); // row: growth=0/0 total=43/1 function=main
  kept = rallocx(kept, 100003, 0); // row: growth=100003/1 total=100003/1 function=main
  kept = mallocx(47, 0); // row: growth=0/0 total=47/1 function=main
  sdallocx(kept, 47, 0);
  kept = mallocx(53, 0); // row: growth=0/0 total=53/1 function=main
  dallocx(kept, 0);
  step("done");
  return 0;
}
