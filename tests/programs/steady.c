//! Sixty-four threads that allocate, resize, hand over to one another and free, and are followed by others while the rest run on: nothing of what is
//! kept of them may grow with their events. Each line that is read is a round of as many events from the same stacks; `done` is said after it.
#include "step.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

enum { THREADS = 64, FOLLOWERS = 4, TURNS = 2000, PLACES = 512, BRANCHES = 3, SIZES = 61 };

static _Atomic(void *) places[PLACES];

static uint32_t draw(uint32_t *state, uint32_t below) {
  *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
  return *state % below;
}

static __attribute__((noinline)) void turn(uint32_t *state) {
  size_t size = 8 + 16 * draw(state, SIZES);
  void *block = draw(state, 4) ? malloc(size) : calloc(1, size);
  if (draw(state, 3) == 0) block = realloc(block, 2 * size);
  /* Freed by whoever finds it there. */
  free(atomic_exchange(&places[draw(state, PLACES)], block));
}

/* Two ways to go on at each of a few depths: the stacks are known, and soon all have been met. */
static __attribute__((noinline)) void descend(uint32_t *state, int depth) {
  if (depth == 0) turn(state);
  else if (draw(state, 2)) descend(state, depth - 1);
  else descend(state, depth - 1);
  __asm__ volatile("" ::: "memory");
}

static void *worker(void *argument) {
  uint32_t state = 2463534242u + (uint32_t)(uintptr_t)argument;
  for (int i = 0; i < TURNS; i++) descend(&state, BRANCHES);
  return NULL;
}

static void round_of(uintptr_t seed) {
  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, worker, (void *)(seed + i));
  for (int follower = 1; follower < FOLLOWERS; follower++)
    for (uintptr_t i = 0; i < THREADS; i++) {
      pthread_join(threads[i], NULL);
      pthread_create(&threads[i], NULL, worker, (void *)(seed + (uintptr_t)follower * THREADS + i));
    }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

int main(void) {
  step("ready");
  for (uintptr_t seed = 1;; seed += THREADS * FOLLOWERS) {
    round_of(seed);
    step("done");
  }
}
