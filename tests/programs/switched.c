//! Threads that allocate without a pause while somebody switches what is recorded: each block is freed by whichever thread finds it, in whatever mode then.
//!
//! Commands: r = wait until each thread has gone round some more, e = end them, free what is left, and end.
#include "step.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { THREADS = 4, PLACES = 64, MORE = 500 };

static _Atomic(void *) places[PLACES];
static atomic_long rounds[THREADS];
static atomic_int over;

static void put(int place, void *block) {
  free(atomic_exchange(&places[place], block));
}

static void go_round(void) {
  for (int i = 0; i < PLACES; i += 2) {
    put(i, malloc(100 + i));          // row: growth=0/0 function=go_round
    void *grown = malloc(10);         // row: growth=0/0 function=go_round
    grown = realloc(grown, 5000 + i); // row: growth=0/0 function=go_round
    put(i + 1, grown);
  }
}

static void *worker(void *count) {
  while (!atomic_load(&over)) {
    go_round();
    atomic_fetch_add((atomic_long *)count, 1);
  }
  return NULL;
}

static void wait_for_more(void) {
  for (int i = 0; i < THREADS; i++) {
    long until = atomic_load(&rounds[i]) + MORE;
    while (atomic_load(&rounds[i]) < until) sched_yield();
  }
}

int main(void) {
  pthread_t ids[THREADS];
  for (int i = 0; i < THREADS; i++) pthread_create(&ids[i], NULL, worker, &rounds[i]);
  wait_for_more();
  while (step("running") == 'r') wait_for_more();
  atomic_store(&over, 1);
  for (int i = 0; i < THREADS; i++) pthread_join(ids[i], NULL);
  for (int i = 0; i < PLACES; i++) put(i, NULL);
  step("freed");
  return 0;
}
