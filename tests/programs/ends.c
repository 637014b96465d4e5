//! Leaks a known number of bytes and ends in the way that its argument names.
#include "step.h"
#include <signal.h>
#include <stdio.h>

static void *volatile kept;

static void leak(int times) {
  for (int i = 0; i < times; i++) kept = malloc(37); // row: growth=111/3 live=111/3 total=111/3 function=leak
}

static void at_exit(void) {
  kept = malloc(83);
}

static volatile sig_atomic_t got;

static void note(int signal) {
  got = signal;
}

/* Says `waiting` and waits for a signal that it handles. */
static int wait_for_signal(void) {
  sigset_t blocked, old;
  sigfillset(&blocked);
  sigprocmask(SIG_BLOCK, &blocked, &old);
  signal(SIGUSR1, note), signal(SIGTERM, note), signal(SIGINT, note), signal(SIGHUP, note);
  say("waiting");
  while (!got) sigsuspend(&old);
  return 64 + got;
}

int main(int count, char **words) {
  const char *end = count > 1 ? words[1] : "return";
  leak(3);
  if (!strcmp(end, "abort")) abort();
  if (!strcmp(end, "segv")) *(volatile int *)8 = 1;
  if (!strcmp(end, "kill")) kill(getpid(), SIGKILL);
  if (!strcmp(end, "term")) kill(getpid(), SIGTERM);
  if (!strcmp(end, "_exit")) _exit(23);
  if (!strcmp(end, "atexit")) atexit(at_exit);
  if (!strcmp(end, "exit")) exit(42);
  if (!strcmp(end, "wait")) return wait_for_signal();
  return 0;
}
