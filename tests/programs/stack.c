//! How deep an allocation's call reaches into the stack: bytes below the caller, at the thread's first event and at later ones.
//! With the argument `tight`, the thread's first event happens with 8 KiB of stack left above a page that may not be touched.
#define _GNU_SOURCE
#include "step.h"
#include <alloca.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

enum { SIZE = 256 * 1024, PAINT = 0xa5, LEFT = 8 * 1024 };

static char *stack;
static void *volatile kept;
static int tight;

/* Paints what lies below this frame, but for the bytes that this function itself still needs. */
static __attribute__((noinline)) void paint(void) {
  char *here = __builtin_frame_address(0);
  for (volatile char *p = stack; p < here - 512; p++) *p = (char)PAINT;
}

static __attribute__((noinline)) long deepest(char *caller) {
  char *p = stack;
  while (*p == (char)PAINT) p++;
  return caller - p;
}

static __attribute__((noinline)) long once(int size) {
  paint();
  kept = malloc(size);
  free(kept);
  kept = realloc(malloc(size), 3 * size);
  free(kept);
  return deepest(__builtin_frame_address(0));
}

static void *measured(void *argument) {
  long *result = argument;
  for (int i = 0; i < 100; i++) { /* one call: another would be another frame, whose rule is not known yet */
    result[i > 0] = once(37);
  }
  return NULL;
}

static __attribute__((noinline)) void *cramped(void *argument) {
  char *here = __builtin_frame_address(0);
  volatile char *room = alloca((size_t)(here - stack) - LEFT - 256);
  room[0] = 1;
  kept = malloc(37); // row: growth=37/1 total=37/1 function=cramped
  room[1] = 2;
  return argument;
}

int main(int count, char **words) {
  long result[2] = {0};
  char said[99];
  char *mapped = mmap(NULL, SIZE + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(mapped, 4096, PROT_NONE);
  stack = mapped + 4096;
  tight = count > 1 && !strcmp(words[1], "tight");
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, stack, SIZE);
  pthread_create(&thread, &attributes, tight ? cramped : measured, result);
  pthread_join(thread, NULL);
  snprintf(said, sizeof said, "%ld %ld", result[0], result[1]);
  step(said);
  return 0;
}
