//! A daemon as they are made of old: forks, begins a session, forks again, goes to the root directory, closes every descriptor, and then leaks. What started it
//! says its pid when that has happened, and ends; the daemon waits for a signal that ends it.
#define _GNU_SOURCE
#include "step.h"
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

static void *volatile kept;

static void serve(pid_t starter, volatile pid_t *own) {
  if (chdir("/")) _exit(8);
  for (int i = 0; i < 4096; i++) close(i);
  kept = malloc(43); // row: growth=43/1 live=43/1 total=43/1 function=serve
  *own = getpid();
  kill(starter, SIGUSR1);
  while (1) pause();
}

int main(void) {
  char said[32];
  int number;
  sigset_t set;
  pid_t starter = getpid();
  volatile pid_t *own = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  kept = malloc(101);
  pid_t first = fork();
  if (first == 0) {
    setsid();
    if (fork() == 0) serve(starter, own);
    _exit(0);
  }
  waitpid(first, NULL, 0);
  sigwait(&set, &number);
  snprintf(said, sizeof said, "%d", *own);
  say(said);
  return 0;
}
