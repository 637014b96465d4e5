//! Every function of the malloc family, each with a size of its own.
#define _GNU_SOURCE
#include "step.h"
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>

/* C23; glibc has them from 2.43, the shim always. */
void free_sized(void *block, size_t size) __attribute__((weak));
void free_aligned_sized(void *block, size_t align, size_t size) __attribute__((weak));

static void *volatile kept[64];
static int used;

static void keep(void *block) {
  kept[used++] = block;
}

static void plain(void) {
  keep(calloc(3, 17)); // row: growth=51/1 total=51/1 function=plain
  keep(malloc(0)); // row: growth=0/1 total=0/1 function=plain
  keep(malloc(5368709121)); // row: growth=5368709121/1 total=5368709121/1 function=plain
  free(NULL);
}

static void resized(void) {
  void *grows = malloc(19); // row: growth=0/0 total=19/1 function=resized
  keep(realloc(grows, 100003)); // row: growth=100003/1 total=100003/1 function=resized
  void *shrinks = malloc(503); // row: growth=0/0 total=503/1 function=resized
  keep(realloc(shrinks, 41)); // row: growth=41/1 total=41/1 function=resized
  void *ends = malloc(67); // row: growth=0/0 total=67/1 function=resized
  kept[63] = realloc(ends, 0);
  keep(realloc(NULL, 73)); // row: growth=73/1 total=73/1 function=resized
  void *stays = malloc(89); // row: growth=89/1 total=89/1 function=resized
  keep(stays);
  kept[63] = realloc(stays, PTRDIFF_MAX - 64);
  if (kept[63]) abort();
}

static void arrays(void) {
  void *array = reallocarray(NULL, 7, 11); // row: growth=0/0 total=77/1 function=arrays
  keep(reallocarray(array, 9, 13)); // row: growth=117/1 total=117/1 function=arrays
  void *stays = malloc(139); // row: growth=139/1 total=139/1 function=arrays
  keep(stays);
  kept[63] = reallocarray(stays, SIZE_MAX / 2, 3);
  if (kept[63]) abort();
}

static void aligned(void) {
  void *block;
  if (posix_memalign(&block, 64, 83) == 0) keep(block); // row: growth=83/1 total=83/1 function=aligned
  if (posix_memalign(&block, 3, 85) == 0) abort();
  keep(aligned_alloc(64, 192)); // row: growth=192/1 total=192/1 function=aligned
  keep(memalign(128, 97)); // row: growth=97/1 total=97/1 function=aligned
  keep(valloc(101)); // row: growth=101/1 total=101/1 function=aligned
  keep(pvalloc(103)); // row: growth=103/1 total=103/1 function=aligned
}

static void sized(void) {
  if (!free_sized || !free_aligned_sized) return;
  void *block = malloc(107); // row: growth=0/0 total=107/1 function=sized
  free_sized(block, 107);
  block = aligned_alloc(256, 512); // row: growth=0/0 total=512/1 function=sized
  free_aligned_sized(block, 256, 512);
}

static void by_libc(void) {
  static char text[] = "a line\n", buffer[256];
  char *line = NULL;
  size_t size = 0;
  keep(strdup("twenty-eight letters and nul")); // row: growth=29/1 total=29/1 function=by_libc
  FILE *file = fmemopen(text, sizeof text, "r"); // row: growth=0/0 function=by_libc
  setvbuf(file, buffer, _IOFBF, sizeof buffer);
  if (getline(&line, &size, file) != 7) abort(); // row: growth=120/1 total=120/1 function=by_libc
  keep(line);
  fclose(file);
}

/* An argument leaves out what only the shim has: then the events are the same with and without it. */
int main(int count, char **words) {
  step("warm");
  plain();
  resized();
  arrays();
  aligned();
  if (count == 1) sized();
  by_libc();
  step("done");
  return 0;
}
