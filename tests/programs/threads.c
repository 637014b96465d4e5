//! Eight threads exchange blocks through shared places, so that most blocks are freed on a thread that did not allocate them.
//! Each line has an odd size of its own. Runs until a line is read and each thread has had a million events; then says, for each
//! line, how many blocks it allocated and how many of them live. At no moment do more than PLACES + 2 * THREADS blocks live.
#include "step.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

enum { THREADS = 8, PLACES = 1024, LINES = 3, EVENTS = 1000000 };

static _Atomic(uintptr_t) places[PLACES]; /* a block's address, and its line in the low bits */
static atomic_int stop;
static atomic_long total[LINES];

static void *block_of(uintptr_t tagged) {
  return (void *)(tagged & ~(uintptr_t)15);
}

static void *worker(void *argument) {
  uint32_t random = 2463534242u + (uint32_t)(uintptr_t)argument;
  long events = 0, mine[LINES] = {0};
  while (events < EVENTS || !stop) {
    random ^= random << 13, random ^= random >> 17, random ^= random << 5;
    int line = random % LINES, place = random / LINES % PLACES;
    void *block = NULL;
    if (line == 0) {
      block = malloc(37); // row: function=worker
    } else if (line == 1) {
      block = calloc(7, 9); // row: function=worker
    } else {
      void *taken = block_of(atomic_exchange(&places[place], 0));
      events += taken != NULL;
      block = realloc(taken, 101); // row: function=worker
    }
    mine[line]++;
    uintptr_t old = atomic_exchange(&places[place], (uintptr_t)block | (uintptr_t)line);
    if (old) free(block_of(old));
    events += 1 + (old != 0);
  }
  for (int line = 0; line < LINES; line++) total[line] += mine[line];
  return NULL;
}

int main(void) {
  pthread_t threads[THREADS];
  long live[LINES] = {0};
  char said[200];
  step("warm");
  for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, worker, (void *)i);
  step("running");
  stop = 1;
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < PLACES; i++)
    if (places[i]) live[places[i] & 15]++;
  snprintf(said, sizeof said, "%ld %ld %ld %ld %ld %ld", total[0], live[0], total[1], live[1], total[2], live[2]);
  step(said);
  return 0;
}
