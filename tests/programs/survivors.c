//! A cache that is filled anew, a pool that shrinks while some of it leaks, and what is freed at once: between two marks of its own.
#include "heapshim.h"
#include "step.h"

static void *volatile cache[100];
static void *volatile pool[200];
static void *volatile passing;

static void *take(void) {
  return malloc(48); // pool
}

static void mark(const char *name) {
  if (heapshim_mark && heapshim_mark(name) != 0) abort();
}

int main(void) {
  step("warm");
  for (int i = 0; i < 200; i++) pool[i] = take();
  mark("first");
  for (int i = 0; i < 1000; i++) {
    free(cache[i % 100]);
    cache[i % 100] = malloc(64); // cache
  }
  mark("filled");
  for (int i = 0; i < 1000; i++) {
    free(cache[i % 100]);
    cache[i % 100] = malloc(64); // refilled
    passing = malloc(16); // passing
    free(passing);
  }
  for (int i = 0; i < 150; i++) free(pool[i]);
  for (int i = 0; i < 30; i++) passing = take();
  mark("second");
  for (int i = 0; i < 100; i++) free(cache[i]);
  step("done");
  return 0;
}
