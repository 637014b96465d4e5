//! 10,000 threads in waves of 50: more threads than any table of threads has room for, each with an account to keep.
#include "step.h"
#include <pthread.h>

enum { WAVES = 200, WAVE = 50, ROUNDS = 100 };

static void *volatile kept[WAVES * WAVE];

static void *worker(void *argument) {
  long number = (long)argument;
  for (int i = 0; i < ROUNDS; i++) {
    void *volatile block = malloc(77); // row: growth=0/0 total=77000000/1000000 function=worker
    free(block);
  }
  kept[number] = malloc(45); // row: growth=2250/50 total=450000/10000 function=worker
  if (number >= WAVE) free(kept[number - WAVE]);
  return NULL;
}

int main(void) {
  pthread_t threads[WAVE];
  step("warm");
  for (long wave = 0; wave < WAVES; wave++) {
    for (long i = 0; i < WAVE; i++) pthread_create(&threads[i], NULL, worker, (void *)(wave * WAVE + i));
    for (long i = 0; i < WAVE; i++) pthread_join(threads[i], NULL);
  }
  step("done");
  return 0;
}
