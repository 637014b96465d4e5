// A recursion whose frames differ from level to level, as a parser's do: each level is one of two functions, and keeps a block.
//
//   deep LEVELS
//
// Prints how many levels are `left`'s, of 24 bytes each, and how many `right`'s, of 40.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define APART __attribute__((noinline, noclone))
#define KEEP() __asm__ volatile("" ::: "memory")
static uint64_t state = 88172645463325252u, lefts, rights;
static void *volatile kept;

static int next_is_left(void) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (state >> 20) & 1;
}

static APART void left(unsigned levels);
static APART void right(unsigned levels);
static APART void descend(unsigned levels) {
  if (levels == 0) return;
  next_is_left() ? left(levels - 1) : right(levels - 1);
  KEEP();
}
static APART void left(unsigned levels) {
  kept = malloc(24); // left
  lefts++;
  descend(levels);
  KEEP();
}
static APART void right(unsigned levels) {
  kept = malloc(40); // right
  rights++;
  descend(levels);
  KEEP();
}

int main(int count, char **words) {
  descend(count > 1 ? (unsigned)atoi(words[1]) : 0);
  printf("%lu %lu\n", lefts, rights);
}
