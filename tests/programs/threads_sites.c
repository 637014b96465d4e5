//! 500 threads, all alive at once, over 20,000 stacks: more threads than there are slots of counters, each of which has a cell for every stack
//! that its threads have used. Each thread uses every stack.
#include "step.h"
#include <pthread.h>
#include <stdint.h>

enum { THREADS = 500, STACKS = 20000, PART = 500, DEPTH = 15 };
static pthread_barrier_t done, over;
static void left(int depth, unsigned path);
static void right(int depth, unsigned path);

static void descend(int depth, unsigned path) {
  if (depth == 0) {
    void *volatile block = malloc(37); // row: growth=0/0 total=370000000/10000000 function=descend
    free(block);
    return;
  }
  path & 1 ? left(depth - 1, path >> 1) : right(depth - 1, path >> 1);
  __asm__ volatile("");
}

static __attribute__((noinline)) void left(int depth, unsigned path) {
  descend(depth, path);
  __asm__ volatile("");
}

static __attribute__((noinline)) void right(int depth, unsigned path) {
  descend(depth, path);
  __asm__ volatile("");
}

static void *work(void *argument) {
  unsigned number = (unsigned)(uintptr_t)argument;
  for (unsigned i = 0; i < STACKS; i++) descend(DEPTH, (i + number * PART) % STACKS);
  pthread_barrier_wait(&done);
  pthread_barrier_wait(&over);
  return NULL;
}

int main(void) {
  pthread_t threads[THREADS];
  pthread_barrier_init(&done, NULL, THREADS + 1);
  pthread_barrier_init(&over, NULL, THREADS + 1);
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i);
  pthread_barrier_wait(&done);
  step("alive");
  pthread_barrier_wait(&over);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  step("ended");
  return 0;
}
