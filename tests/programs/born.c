//! Between marks that others take of it: a cache that is filled anew, a pool that shrinks while some of it leaks, a block that grows, blocks that change threads, and a
//! child that gives back what it was born with.
#include "step.h"
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>

static void *volatile cache[100];
static void *volatile pool[200];
static void *volatile handed[10];
static void *volatile made[10];
static void *volatile passing;
static void *volatile grown;

static void *take(void) {
  return malloc(48); // pool
}

static void *other(void *none) {
  for (int i = 0; i < 10; i++) free(handed[i]);
  for (int i = 0; i < 10; i++) made[i] = malloc(80); // made
  return none;
}

static void child(void) {
  char said[64];
  passing = malloc(8); // its account begins
  free(passing);
  snprintf(said, sizeof said, "child %d", getpid());
  step(said);
  for (int i = 0; i < 50; i++) free(cache[i]);
  for (int i = 0; i < 20; i++) {
    void *volatile own = malloc(24); // child
    if (i < 5) free(own);
  }
  step("child done");
  exit(0);
}

int main(void) {
  pthread_t thread;
  step("warm");
  for (int i = 0; i < 200; i++) pool[i] = take();
  grown = malloc(100);
  step("pooled");
  for (int i = 0; i < 1000; i++) {
    free(cache[i % 100]);
    cache[i % 100] = malloc(64); // cache
  }
  step("filled");
  for (int i = 0; i < 1000; i++) {
    free(cache[i % 100]);
    cache[i % 100] = malloc(64); // refilled
    passing = malloc(16); // passing
    free(passing);
  }
  for (int i = 0; i < 150; i++) free(pool[i]);
  for (int i = 0; i < 30; i++) passing = take();
  for (int i = 0; i < 10; i++) handed[i] = malloc(96); // handed
  if (pthread_create(&thread, NULL, other, NULL) || pthread_join(thread, NULL)) abort();
  for (int i = 1; i <= 5; i++) grown = realloc(grown, i * 100000); // grown
  step("refilled");
  if (fork() == 0) child();
  wait(NULL);
  step("alone");
  for (int i = 0; i < 100; i++) free(cache[i]);
  step("done");
  return 0;
}
