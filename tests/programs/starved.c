//! Leaves itself little address space (its argument, in KiB beyond what it has), then allocates from new places, on new threads and in new
//! regions of memory, until malloc gives no more: 2,000 rounds at most. Says how many blocks and bytes it got.
#include "step.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>

static long blocks, bytes;

static void take(size_t size) {
  void *block = malloc(size); // row: function=take
  if (block) blocks++, bytes += size;
}

static __attribute__((noinline)) void deep(int depth, unsigned path) {
  if (depth == 0)
    take(37 + path % 5);
  else if (path & 1)
    deep(depth - 1, path >> 1);
  else
    deep(depth - 1, path >> 1);
  blocks += 0 * depth;
}

static void *thread(void *unused) {
  take(53);
  return unused;
}

static long size_kib(void) {
  static char text[128];
  int file = open("/proc/self/statm", O_RDONLY);
  if (read(file, text, sizeof text - 1) <= 0) _exit(9);
  close(file);
  return 4 * atol(text);
}

int main(int count, char **words) {
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 1 << 16);
  struct rlimit limit = {(size_kib() + atol(words[1])) << 10, RLIM_INFINITY};
  if (setrlimit(RLIMIT_AS, &limit)) return 1;
  for (unsigned round = 0; round < 2000; round++) {
    pthread_t id;
    deep(11, round);
    if (round % 16 == 0 && !pthread_create(&id, &small, thread, NULL)) pthread_join(id, NULL);
    if (round % 64 == 0) take(5 << 20);
  }
  limit.rlim_cur = RLIM_INFINITY;
  setrlimit(RLIMIT_AS, &limit);
  char line[100];
  snprintf(line, sizeof line, "took %ld %ld", blocks, bytes);
  step(line);
  return 0;
}
