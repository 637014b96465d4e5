//! Forks while other threads allocate. Each of the children frees some of what it inherited, allocates from a thread of its own, and
//! ends; the parent's account must not notice.
#include "step.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { THREADS = 3, CHILDREN = 20 };

static atomic_int stop;
static void *volatile inherited[10];
static void *volatile kept;

static void *churn(void *argument) {
  while (!stop) {
    void *volatile block = malloc(77); // row: growth=0/0 function=churn
    free(block);
  }
  return argument;
}

static void *in_child(void *argument) {
  for (int i = 0; i < 5; i++) kept = malloc(211); // row: growth=0/0 total=0/0 function=in_child
  return argument;
}

static void child(void) {
  pthread_t thread;
  for (int i = 0; i < 4; i++) free(inherited[i]);
  if (pthread_create(&thread, NULL, in_child, NULL)) _exit(9);
  pthread_join(thread, NULL);
  _exit(0);
}

int main(void) {
  pthread_t threads[THREADS];
  step("warm");
  for (int i = 0; i < 10; i++) inherited[i] = malloc(101); // row: growth=1010/10 total=1010/10 function=main
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, churn, NULL);
  int failed = 0;
  for (int i = 0; i < CHILDREN; i++) {
    pid_t pid = fork();
    if (pid == 0) child();
    int status = -1;
    waitpid(pid, &status, 0);
    failed += status != 0;
  }
  stop = 1;
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  step(failed ? "failed" : "done");
  return failed;
}
