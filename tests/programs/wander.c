//! Random walks through functions whose frames differ in layout, with allocations at random places, returns over many frames by
//! longjmp, and signal handlers: what one walk remembers must never be taken for true in the next.
#include "step.h"
#include <alloca.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>

enum { WALKS = 1500, DEEPEST = 40 };

typedef long visit(int depth, long a, long b);
static __thread uint32_t state;
static __thread jmp_buf out;
static void *volatile kept;

static uint32_t below(uint32_t limit) {
  state ^= state << 13, state ^= state >> 17, state ^= state << 5;
  return state % limit;
}

static visit plain, saving, variable, realigned, callback;
static visit *const visits[] = {plain, saving, variable, realigned, callback};

/* What each does between two calls: allocate, go deeper, leave it at that, or leave altogether. */
static __attribute__((noinline)) long go_on(int depth, long a, long b) {
  long sum = a;
  for (int i = 0; i < 3; i++) {
    uint32_t choice = below(12);
    if (choice < 4) kept = malloc(16 + choice);
    else if (choice < 8 && depth > 0) sum += visits[below(5)](depth - 1, sum, b);
    else if (choice == 8 && depth < 30) longjmp(out, 1);
    else if (choice == 9) raise(SIGUSR1);
  }
  return sum + b;
}

static __attribute__((noinline)) long plain(int depth, long a, long b) {
  return go_on(depth, b, a) + 1;
}

static __attribute__((noinline)) long saving(int depth, long a, long b) {
  long c = a * 3, d = b * 5, e = a ^ b, f = a + b;
  long sum = go_on(depth, c, d);
  return sum + go_on(depth - 1, e, f) + c + d + e + f;
}

static __attribute__((noinline)) long variable(int depth, long a, long b) {
  volatile char *room = alloca(8 + below(500));
  room[0] = (char)a;
  return go_on(depth, a, b) + room[0];
}

static __attribute__((noinline)) long realigned(int depth, long a, long b) {
  _Alignas(64) volatile long wide[8] = {a};
  long sum = go_on(depth, wide[0], b);
  return sum + wide[0];
}

static __thread long passed[3];

static int compare(const void *left, const void *right) {
  if (left < right) passed[0] = go_on((int)passed[0], passed[1], passed[2]);
  return (left < right) - (left > right);
}

static __attribute__((noinline)) long callback(int depth, long a, long b) {
  long two[2] = {a, b};
  passed[0] = depth, passed[1] = a, passed[2] = b;
  qsort(two, 2, sizeof *two, compare);
  return two[0];
}

static void handler(int signal) {
  kept = malloc(29);
  kept = NULL;
}

static void *wander(void *argument) {
  state = 88172645u + (uint32_t)(uintptr_t)argument;
  for (volatile int walk = 0; walk < WALKS; walk++) {
    if (setjmp(out) == 0) visits[below(5)](DEEPEST, walk, 7);
  }
  return argument;
}

int main(void) {
  pthread_t thread;
  signal(SIGUSR1, handler);
  wander((void *)1);
  pthread_create(&thread, NULL, wander, (void *)2);
  pthread_join(thread, NULL);
  return 0;
}
