//! Blocks that live as long as the harness likes, no longer than their thread's next operation or its next but one, and for good; and those of another
//! thread.
#define _GNU_SOURCE
#include "step.h"
#include <pthread.h>

static void *volatile held[10];
static void *volatile kept[20];
static void *volatile passing;

static void *work(void *unused) {
  for (int i = 0; i < 7; i++) {
    passing = malloc(61); // worker
    free(passing);
  }
  return unused;
}

int main(void) {
  step("warm");
  for (int i = 0; i < 10; i++) held[i] = malloc(100 + i % 2 * 100); // held
  step("held");
  for (int i = 0; i < 10; i++) free(held[i]);
  for (int i = 0; i < 1000; i++) {
    passing = malloc(33); // short
    free(passing);
  }
  for (int i = 0; i < 20; i++) {
    passing = malloc(51); // next but one
    kept[i] = malloc(52); // kept
    free(passing);
  }
  pthread_t thread;
  if (pthread_create(&thread, 0, work, 0) != 0) abort();
  pthread_setname_np(thread, "worker");
  pthread_join(thread, 0);
  step("done");
  return 0;
}
