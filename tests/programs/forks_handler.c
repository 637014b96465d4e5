//! A signal handler that forks, also inside of malloc and free. The children go on where the handler interrupted them, and end; the parent's
//! account must have no event of theirs, and none of its own less.
#define _GNU_SOURCE
#include "step.h"
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/wait.h>

static volatile sig_atomic_t forks, is_child;
static int wanted;

static void handle(int number) {
  (void)number;
  if (is_child || forks >= wanted) return;
  pid_t pid = fork();
  if (pid == 0) is_child = 1;
  forks++;
}

int main(int count, char **words) {
  char said[64];
  long pairs = 0;
  wanted = count > 1 ? atoi(words[1]) : 100;
  struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
  struct sigaction ignored = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
  sigaction(SIGALRM, &action, NULL);
  sigaction(SIGCHLD, &ignored, NULL);
  struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
  step("warm");
  setitimer(ITIMER_REAL, &often, NULL);
  while (forks < wanted && !is_child) {
    void *volatile block = malloc(33);
    free(block);
    pairs++;
  }
  if (is_child) _exit(0);
  setitimer(ITIMER_REAL, &never, NULL);
  snprintf(said, sizeof said, "pairs %ld", pairs);
  step(said);
  return 0;
}
