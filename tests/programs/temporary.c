// What comes and goes at once, and what only looks like it: blocks that their thread's next operation frees are temporary, no others.
#include "step.h"
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>

enum { WORKERS = 20 }; // more than have counters of their own
static void *volatile one;
static void *volatile other;
static void *volatile handed;
static pthread_barrier_t all;

/* Each works while all others are there. */
static void *work(void *unused) {
  pthread_barrier_wait(&all);
  for (int i = 0; i < 30; i++) {
    void *volatile own = malloc(48); // worker
    free(own);
  }
  pthread_barrier_wait(&all);
  return unused;
}

static void *give(void *unused) {
  pthread_barrier_wait(&all);
  handed = malloc(72); // handed
  pthread_barrier_wait(&all);
  pthread_barrier_wait(&all);
  return unused;
}

static void alone(void) {
  for (int i = 0; i < 100; i++) {
    one = malloc(40); // at once
    free(one);
    one = calloc(3, 8); // cleared
    free(NULL);
    free(one);
    one = malloc(56); // one
    other = malloc(64); // other
    free(one);
    free(other);
    one = malloc(80); // outer
    other = malloc(88); // inner
    free(other);
    free(one);
    one = malloc(96); // moved
    one = realloc(one, 5000); // resized
    other = realloc(one, (size_t)-1 / 4);
    if (other != NULL) abort();
    free(one);
  }
}

/* The other thread frees what it is handed, and hands back a block of its own, which has that address: both are of one size. */
static void *swap(void *block) {
  free(block);
  return malloc(136); // swapped
}

static void swaps(void) {
  for (int i = 0; i < 50; i++) {
    pthread_t thread;
    void *back = NULL;
    void *volatile mine = malloc(136); // mine
    pthread_create(&thread, NULL, swap, mine);
    pthread_join(thread, &back);
    free(back);
  }
}

int main(int count, char **words) {
  pthread_t threads[WORKERS];
  step("warm");
  alone();
  swaps();
  pthread_barrier_init(&all, NULL, 2);
  pthread_create(&threads[0], NULL, give, NULL);
  one = malloc(104); // before
  pthread_barrier_wait(&all);
  pthread_barrier_wait(&all);
  free(handed); // another thread's, between a block and its own end
  free(one);
  pthread_barrier_wait(&all);
  pthread_join(threads[0], NULL);
  pthread_barrier_init(&all, NULL, WORKERS);
  for (int i = 0; i < WORKERS; i++) pthread_create(&threads[i], NULL, work, NULL);
  for (int i = 0; i < WORKERS; i++) pthread_join(threads[i], NULL);
  step("done");
  one = malloc(112); // across
  pid_t child = fork();
  if (child == 0) {
    free(one); // this process has not allocated it
    one = malloc(120); // child
    free(one);
    char word[32];
    snprintf(word, sizeof word, "child %d", (int)getpid());
    step(word);
    _exit(0);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) return 1;
  free(one);
  step("over");
  return count + (words == NULL) - 1;
}
