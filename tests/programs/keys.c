//! Destructors of thread-specific data that free and allocate: a thread's last events, after the shim's own turn may have come.
#include "step.h"
#include <pthread.h>

enum { THREADS = 100 };

static pthread_key_t first, last;
static void *volatile kept;

static void again(void *value) {
  free(value);
  kept = malloc(39); // row: growth=3900/100 total=3900/100 function=again
}

static void destroy(void *value) {
  free(value);
  pthread_setspecific(last, malloc(35)); // row: growth=0/0 total=3500/100 function=destroy
}

static void *worker(void *argument) {
  pthread_setspecific(first, malloc(33)); // row: growth=0/0 total=3300/100 function=worker
  return argument;
}

int main(void) {
  pthread_key_create(&last, again);
  pthread_key_create(&first, destroy);
  step("warm");
  for (int i = 0; i < THREADS; i++) {
    pthread_t thread;
    pthread_create(&thread, NULL, worker, NULL);
    pthread_join(thread, NULL);
  }
  step("done");
  return 0;
}
