//! Stacks that overflow, again and again, and a handler of the program's own that jumps out: at the bottom of a recursion that allocates in each frame, and
//! in each place that a call of malloc reaches from so many bytes above the end, on threads that have had events and on new ones. What it says at its end: jumps, blocks
//! that malloc gave at the bottom, times that it was asked, the same for the recursion, and whether the handler is still the program's.
#define _GNU_SOURCE
#include "step.h"
#include <alloca.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

enum { STACK = 1 << 18, GUARD = 1 << 16, REACH = 10240, STEP = 32, RECURSIONS = 100 };

static __thread sigjmp_buf out;
static volatile long jumps, given, asked, frames_given, frames_asked;
static void *volatile kept;
static char *stack, *other;

static void handle(int number, siginfo_t *info, void *context) {
  char *at = info->si_addr;
  (void)number, (void)context;
  if (at < stack || at >= stack + GUARD) _exit(7);
  jumps++;
  siglongjmp(out, 1);
}

static __attribute__((noinline)) void after(void) {
  free(malloc(41)); // row: growth=0/0 total=26240/640 function=after
}

/* Calls malloc where the stack has so many bytes left. */
static __attribute__((noinline)) void bottom(long left) {
  char *here = __builtin_frame_address(0);
  volatile char *room = alloca(here - (stack + GUARD + left));
  asked++;
  kept = malloc(37); // row: function=bottom
  given++;
  room[0] = 1;
}

static __attribute__((noinline)) void recurse(long room) {
  volatile char *frame = alloca(room);
  frames_asked++;
  kept = malloc(43); // row: function=recurse
  frames_given++;
  recurse(room);
  frame[0] = 1;
}

static void hand_over(void) {
  stack_t alternate = {.ss_sp = other, .ss_size = GUARD};
  sigaltstack(&alternate, NULL);
}

static void *warm(void *unused) {
  hand_over();
  after();
  for (volatile long left = 0; left < REACH; left += STEP) {
    if (sigsetjmp(out, 1) == 0) bottom(left);
    after();
  }
  for (volatile long round = 0; round < RECURSIONS; round++) {
    if (sigsetjmp(out, 1) == 0) recurse(16 + round * 8);
    kept = malloc(47); // row: growth=4700/100 total=4700/100 function=warm
  }
  return unused;
}

static void *first(void *left) {
  hand_over();
  if (sigsetjmp(out, 1) == 0) bottom((long)(intptr_t)left);
  after();
  return NULL;
}

static void on_a_thread(void *(*function)(void *), void *argument) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, stack + GUARD, STACK);
  if (pthread_create(&thread, &attributes, function, argument)) abort();
  pthread_join(thread, NULL);
}

int main(void) {
  char said[128];
  stack = mmap(NULL, GUARD + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(stack, GUARD, PROT_NONE);
  other = mmap(NULL, GUARD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK}, found;
  sigaction(SIGSEGV, &action, NULL);
  on_a_thread(warm, NULL);
  for (long left = 0; left + STEP < REACH; left += STEP) on_a_thread(first, (void *)left);
  sigaction(SIGSEGV, NULL, &found);
  int own = found.sa_sigaction == handle && (found.sa_flags & (SA_SIGINFO | SA_ONSTACK | SA_RESETHAND | SA_NODEFER)) == action.sa_flags;
  snprintf(said, sizeof said, "%ld %ld %ld %ld %ld %d", jumps, given, asked, frames_given, frames_asked, own);
  step(said);
  return 0;
}
