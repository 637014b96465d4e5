//! Heaps that rise and fall: how much was live at most is known to the byte, and whose it was.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include "step.h"

enum { BLOCKS = 1000, LARGE = 100, THREADS = 4, SMALL = 2000 };

static void *small[BLOCKS], *large[LARGE];
static void *of_threads[THREADS][SMALL];
static pthread_barrier_t full;

/* 15,000,000 bytes, and then nothing. */
static void rise(void) {
  for (int i = 0; i < BLOCKS; i++) small[i] = malloc(10000); // row: function=rise growth=10000000/1000
  for (int i = 0; i < LARGE; i++) large[i] = malloc(50000); // row: function=rise growth=5000000/100
}

static void fall(void) {
  for (int i = 0; i < LARGE; i++) free(large[i]);
  for (int i = 0; i < BLOCKS; i++) free(small[i]);
}

/* One block, there and gone. */
static void once(void) {
  large[0] = malloc(20000000); // row: function=once growth=20000000/1
  free(large[0]);
}

/* All threads hold 1,000,000 bytes each at one moment. The first gives its own back while the others still wait: a copy takes time, in which they could go on. */
static void *hold(void *mine) {
  void **blocks = mine;
  for (int i = 0; i < SMALL; i++) blocks[i] = malloc(500); // row: function=hold growth=4000000/8000
  pthread_barrier_wait(&full);
  for (int i = 0; i < SMALL && blocks == of_threads[0]; i++) free(blocks[i]);
  pthread_barrier_wait(&full);
  for (int i = 0; i < SMALL && blocks != of_threads[0]; i++) free(blocks[i]);
  return 0;
}

static void threads(void) {
  pthread_t all[THREADS];
  pthread_barrier_init(&full, 0, THREADS);
  for (int i = 0; i < THREADS; i++) pthread_create(&all[i], 0, hold, of_threads[i]);
  for (int i = 0; i < THREADS; i++) pthread_join(all[i], 0);
}

static void child(void) {
  char said[64];
  rise();
  fall();
  snprintf(said, sizeof said, "child %d", getpid());
  step(said);
  _exit(0);
}

int main(void) {
  for (;;) {
    switch (step("ready")) {
      case 'r': rise(); break;
      case 'd': fall(); break;
      case 'a': // What was allocated before is not allocated again by the peak.
        for (int i = 0; i < 50; i++) rise(), fall();
        break;
      case 'o': once(); break;
      case 't': threads(); break;
      case 'f':
        rise();
        if (fork() == 0) child();
        wait(0);
        break;
      default: return 0;
    }
  }
}
