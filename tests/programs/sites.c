//! Allocates from 2^N different stacks (N is the argument), 37 bytes from each: more than a small account has room for.
#include "step.h"

static void *volatile kept;
static void left(int depth, unsigned path);
static void right(int depth, unsigned path);

static void descend(int depth, unsigned path) {
  if (depth == 0) {
    kept = malloc(37); // row: function=descend
    return;
  }
  path & 1 ? left(depth - 1, path >> 1) : right(depth - 1, path >> 1);
  kept = NULL;
}

static __attribute__((noinline)) void left(int depth, unsigned path) {
  descend(depth, path);
  kept = NULL;
}

static __attribute__((noinline)) void right(int depth, unsigned path) {
  descend(depth, path);
  kept = NULL;
}

int main(int count, char **words) {
  int depth = count > 1 ? atoi(words[1]) : 4;
  for (unsigned path = 0; path < 1u << depth; path++) descend(depth, path);
  if (count < 3) step("done");
  return 0;
}
