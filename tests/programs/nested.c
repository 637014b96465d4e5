//! A handler that allocates after each instruction of malloc and free, the shim's and those of the allocator behind it, which may be interrupted anywhere: by the
//! processor's trap flag. A new thread begins it before its first event. What it says at its end: how often the handler ran.
#define _GNU_SOURCE
#include "step.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

enum { PAIRS = 20 };

static volatile long traps;

static void handle(int number) {
  (void)number;
  traps++;
  free(malloc(29)); // row: function=handle
}

static __attribute__((noinline)) void churn(void) {
  void *volatile block = malloc(33); // row: growth=0/0 total=1320/40 function=churn
  free(block);
}

static void *stepped(void *unused) {
  __asm__ volatile("sub $128, %%rsp\n pushfq\n orq $0x100, (%%rsp)\n popfq\n add $128, %%rsp" ::: "memory", "cc");
  for (int i = 0; i < PAIRS; i++) churn();
  __asm__ volatile("sub $128, %%rsp\n pushfq\n andq $~0x100, (%%rsp)\n popfq\n add $128, %%rsp" ::: "memory", "cc");
  return unused;
}

int main(void) {
  char said[64];
  pthread_t thread;
  struct sigaction action = {.sa_handler = handle};
  sigaction(SIGTRAP, &action, NULL);
  pthread_create(&thread, NULL, stepped, NULL);
  pthread_join(thread, NULL);
  stepped(NULL);
  snprintf(said, sizeof said, "%ld", traps);
  step(said);
  return 0;
}
