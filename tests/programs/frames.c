//! A million frames of recursion on the main thread's stack, and some allocations at the bottom of it. The stack's limit is raised first, which holds from the next execution on.
#include "step.h"
#include <sys/resource.h>

enum { FRAMES = 1000000, BLOCKS = 5 };
static const rlim_t ROOM = (rlim_t)1 << 30;
static void *volatile kept;

static __attribute__((noinline)) int descend(int depth) {
  if (depth == 0) {
    for (int i = 0; i < BLOCKS; i++) kept = malloc(37); // row: growth=185/5 live=185/5 total=185/5 function=descend
    return 1;
  }
  int deeper = descend(depth - 1);
  __asm__ volatile("" : "+r"(deeper));
  return deeper + 1;
}

int main(int count, char **words) {
  struct rlimit limit;
  getrlimit(RLIMIT_STACK, &limit);
  if (limit.rlim_cur < ROOM) {
    if (count > 1 || limit.rlim_max < ROOM) {
      step("no room");
      return 0;
    }
    limit.rlim_cur = ROOM;
    if (setrlimit(RLIMIT_STACK, &limit)) return 2;
    char *again[] = {words[0], "again", NULL};
    execv("/proc/self/exe", again);
    return 3;
  }
  if (descend(FRAMES) != FRAMES + 1) return 4;
  kept = malloc(41); // row: growth=41/1 live=41/1 total=41/1 function=main
  step("done");
  return 0;
}
