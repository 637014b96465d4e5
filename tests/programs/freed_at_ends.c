// Blocks that go in the last instructions of a thread: a key's destructor frees what another thread has allocated.
#include "step.h"
#include <pthread.h>

static pthread_key_t key;
static void *kept;

static void destroy(void *block) {
  free(block); // destroy
}

static void *work(void *block) {
  if (pthread_setspecific(key, block) != 0) abort();
  return NULL;
}

int main(void) {
  if (pthread_key_create(&key, destroy) != 0) return 1;
  step("warm");
  for (int i = 0; i <= 30; i++) {
    pthread_t thread;
    kept = malloc(72); // put
    if (i == 30) break; // one stays: only what grows is told of
    if (pthread_create(&thread, NULL, work, kept) != 0 || pthread_join(thread, NULL) != 0) return 2;
  }
  step("done");
  return 0;
}
