//! C: an allocator that is linked in, as jemalloc is into many a Rust program: what is allocated with it never goes through malloc.
//! Stripped, all that tells of it is a text; without that (QUIET), only that there is more memory than malloc was asked for.
#include "step.h"
#include <stdio.h>
#include <sys/mman.h>

static char *next, *end;

static void *own_malloc(size_t n) {
  if (end - next < (long)n) {
    next = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#ifndef QUIET
    if (next == MAP_FAILED) fputs("<jemalloc>: out of memory\n", stderr), abort();
#endif
    end = next + (16 << 20);
  }
  void *block = next;
  next += (n + 15) & ~15UL;
  return block;
}

static void *volatile kept;

int main(void) {
  step("warm");
  for (int at = 0; at < 4000; at++) kept = memset(own_malloc(1 << 13), at, 1 << 13);
  kept = malloc(1009); // row: growth=1009/1
  step("done");
}
