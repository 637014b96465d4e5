//! Blocks of one line that several lines free, one of which stops: how many go where is known, and each round is one moment.
#include "step.h"
#include <pthread.h>

enum { PUT = 10, EVICTED = 6, CLEARED = 2 };

/* A queue that no run here fills. */
static void *volatile kept[1 << 20];
static int first, end;
static void *volatile buffer;

static void put(void) {
  kept[end++] = malloc(64); // put
}

static void *evict(void *nothing) {
  for (int i = 0; i < EVICTED; i++) {
    free(kept[first++]); // evict
  }
  return nothing;
}

static void clear(void) {
  for (int i = 0; i < CLEARED; i++) {
    free(kept[first++]); // clear
  }
}

/* A thread of its own evicts: blocks are freed by another thread than their own. */
static void evict_elsewhere(void) {
  pthread_t thread;
  if (pthread_create(&thread, 0, evict, 0) != 0 || pthread_join(thread, 0) != 0) abort();
}

static void a_round(int evicts) {
  for (int i = 0; i < PUT; i++) put();
  if (evicts) evict_elsewhere();
  clear();
  buffer = realloc(buffer, 64 + end); // grow
}

int main(void) {
  for (char what = step("warm"); what == 'e' || what == 'n'; what = step("done")) {
    int rounds = what == 'e' ? 100 : 10;
    for (int i = 0; i < rounds; i++) a_round(what == 'e');
  }
  return 0;
}
