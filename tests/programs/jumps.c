//! A signal handler that jumps out of whatever it interrupted, hooks of malloc and free included; then allocates from one place. What it
//! jumps out of is not known: the calls of an allocator of our own, which takes no lock and loses nothing that matters.
#define _GNU_SOURCE
#include "step.h"
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>

static sigjmp_buf out;
static volatile sig_atomic_t jumps, may_jump;

static void handle(int number) {
  (void)number;
  if (!may_jump) return;
  may_jump = 0;
  jumps++;
  siglongjmp(out, 1);
}

/* Its hooks lie so far in that nothing which is called later writes over what they leave. */
static __attribute__((noinline)) void deep(void) {
  volatile char room[20000];
  room[0] = 1;
  may_jump = 1;
  while (1) free(malloc(33));
}

static __attribute__((noinline)) void *after(void) {
  return malloc(29); // row: function=after
}

int main(int count, char **words) {
  char said[64];
  int wanted = count > 1 ? atoi(words[1]) : 100;
  struct sigaction action = {.sa_handler = handle};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
  step("warm");
  setitimer(ITIMER_REAL, &often, NULL);
  while (jumps < wanted) {
    if (sigsetjmp(out, 1) == 0) deep();
    if (!after()) return 1;
  }
  setitimer(ITIMER_REAL, &never, NULL);
  snprintf(said, sizeof said, "jumps %d", (int)jumps);
  step(said);
  return 0;
}
