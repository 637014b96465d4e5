//! A thread with a name forks: the child's allocations are that thread's.
#define _GNU_SOURCE
#include "step.h"
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>

static void *volatile kept;

static void *forks(void *unused) {
  pthread_setname_np(pthread_self(), "forker 1");
  kept = malloc(31);
  pid_t child = fork();
  if (child == 0) {
    char line[32];
    kept = malloc(53);
    snprintf(line, sizeof line, "%d", getpid());
    step(line);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  return NULL;
}

int main(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, forks, NULL);
  pthread_join(thread, NULL);
  return 0;
}
