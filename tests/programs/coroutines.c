//! Allocations on stacks that the program made itself: coroutines, whose stacks are unmapped and mapped anew, and a signal handler on
//! an alternate stack.
#define _GNU_SOURCE
#include "step.h"
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { SIZE = 64 * 1024, ROUNDS = 20, SWITCHES = 10 };

static void *volatile kept;
static ucontext_t outside, inside;

static __attribute__((noinline)) void at_depth(int depth) {
  if (depth > 0) {
    at_depth(depth - 1);
    kept = NULL;
    return;
  }
  kept = malloc(37); // row: growth=7400/200 total=7400/200 function=at_depth
}

static void coroutine(void) {
  for (int i = 0;; i++) {
    at_depth(i % 7);
    swapcontext(&inside, &outside);
  }
}

static void one_coroutine(void) {
  char *stack = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  getcontext(&inside);
  inside.uc_stack.ss_sp = stack;
  inside.uc_stack.ss_size = SIZE;
  makecontext(&inside, coroutine, 0);
  for (int i = 0; i < SWITCHES; i++) {
    swapcontext(&outside, &inside);
    kept = malloc(41); // row: growth=8200/200 total=8200/200 function=one_coroutine
  }
  munmap(stack, SIZE);
}

static void handler(int signal) {
  kept = malloc(43); // row: growth=43/1 total=43/1 function=handler
  kept = NULL;
}

static void on_alternate_stack(void) {
  char *stack = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack_t alternate = {.ss_sp = stack, .ss_size = SIZE};
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
  sigaltstack(&alternate, NULL);
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
}

int main(void) {
  step("warm");
  for (int round = 0; round < ROUNDS; round++) one_coroutine();
  on_alternate_stack();
  step("done");
  return 0;
}
