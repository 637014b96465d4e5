//! Stacks of many shapes for the walk: recursion past the depth limit, callbacks from libc, realigned and variable frames,
//! exceptions in flight, threads, and an allocation in a signal handler.
#include <alloca.h>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <map>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <vector>

static void *volatile kept;

static __attribute__((noinline)) void deep(int depth) {
  if (depth == 0) kept = malloc(37);
  else deep(depth - 1);
  kept = nullptr;
}

static int compare(const void *a, const void *b) {
  kept = malloc(41);
  free(kept);
  return *(const int *)a - *(const int *)b;
}

static __attribute__((noinline)) void realigned(int size) {
  alignas(128) volatile char wide[128];
  wide[0] = (char)size;
  volatile char *room = (volatile char *)alloca((size_t)size);
  room[0] = wide[0];
  kept = malloc(43);
  kept = nullptr;
}

struct Guard {
  ~Guard() {
    kept = malloc(47);
    kept = nullptr;
  }
};

static __attribute__((noinline)) void throws(int depth) {
  Guard guard;
  if (depth == 0) throw std::runtime_error("a message that is too long for the small string");
  throws(depth - 1);
  kept = nullptr;
}

static void on_signal(int) {
  kept = malloc(53);
  kept = nullptr;
}

static void *worker(void *argument) {
  deep(3);
  std::vector<std::string> names;
  for (int i = 0; i < 50; i++) names.push_back(std::string((size_t)i, 'x'));
  return argument;
}

int main() {
  int numbers[100];
  for (int depth : {0, 1, 2, 7, 20, 100, 126, 127, 128, 129, 300}) deep(depth);
  for (int i = 0; i < 100; i++) numbers[i] = i * 7919 % 101;
  qsort(numbers, 100, sizeof *numbers, compare);
  for (int size = 1; size < 2000; size += 333) realigned(size);
  for (int depth = 0; depth < 6; depth++) {
    try { throws(depth); } catch (const std::exception &) { deep(1); }
  }
  signal(SIGUSR1, on_signal);
  for (int i = 0; i < 5; i++) raise(SIGUSR1);
  for (int i = 0; i < 4; i++) {
    pthread_t thread;
    pthread_create(&thread, nullptr, worker, nullptr);
    pthread_join(thread, nullptr);
  }
  std::map<std::string, std::function<void()>> actions;
  for (int i = 0; i < 20; i++) actions[std::string(30, (char)('a' + i))] = [i] { deep(i); };
  for (auto &action : actions) action.second();
  return 0;
}
