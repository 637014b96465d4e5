// Pairs of malloc and free, for `cargo xtask bench-instructions` and for timings: what a pair costs, by depth, threads, sites and sizes.
//
//   pairs [--pairs N] [--depth D] [--same S] [--sites B] [--sizes Z] [--live L] [--threads T] [--hold 1] [--wait 1] [--empty 1]
//
// N pairs a thread; each below D frames of two functions that call each other; S pairs are made before the stack is left (1: each pair comes from a stack
// of its own); B bits of the path differ, so that there are 2^B stacks a leaf; Z sizes from 16 on; L blocks are alive. Prints ns_per_pair=…, by the
// process's CPU time, and the digest of what the blocks hold that are left: which leaf made each, of what size; with --hold it then waits for its input's
// end; with --wait it first says that it is ready, and waits for a byte; with --empty it gives up what it has before it ends.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// How a block is made and given up can be chosen when this is compiled: -D'MAKE(size)=calloc(1, size)'.
#ifndef MAKE
#define MAKE(size) malloc(size)
#endif
#ifndef DROP
#define DROP(block) free(block)
#endif
// C++'s operators new and delete, by the names that they have for the linker.
void *_Znwm(size_t size);
void _ZdlPv(void *block);

#define APART __attribute__((noinline, noclone))
#define KEEP() __asm__ volatile("" ::: "memory")
enum { PAIRS, DEPTH, SAME, SITES, SIZES, LIVE, THREADS, HOLD, WAIT, EMPTY, OPTIONS };
static const char *const names[OPTIONS] = {"--pairs", "--depth", "--same", "--sites", "--sizes", "--live", "--threads", "--hold", "--wait", "--empty"};
static uint64_t option[OPTIONS] = {1000000, 16, 4, 3, 32, 1000, 1, 0, 0, 0};

struct work { uint64_t random, done, **blocks; };

static uint64_t next(struct work *work) {
  uint64_t x = work->random;
  x ^= x << 13, x ^= x >> 7, x ^= x << 17;
  return work->random = x;
}

#define LEAF(n) static APART uint64_t *leaf##n(size_t size) { uint64_t *block = MAKE(size); *block = size << 2 | n; KEEP(); return block; }
LEAF(0) LEAF(1) LEAF(2) LEAF(3)
static uint64_t *(*const leaves[])(size_t) = {leaf0, leaf1, leaf2, leaf3};

static APART void innermost(struct work *work) {
  for (uint64_t made = 0; made < option[SAME] && work->done < option[PAIRS]; made++, work->done++) {
    uint64_t random = next(work);
    uint64_t **place = &work->blocks[random % option[LIVE]];
    DROP(*place);
    *place = leaves[random >> 62](16 + (random >> 32) % option[SIZES] * 16);
  }
  KEEP();
}

static APART void left(struct work *work, uint64_t depth, uint64_t path);
static APART void right(struct work *work, uint64_t depth, uint64_t path) {
  depth == 0 ? innermost(work) : path & 1 ? right(work, depth - 1, path >> 1) : left(work, depth - 1, path >> 1);
  KEEP();
}
static APART void left(struct work *work, uint64_t depth, uint64_t path) {
  depth == 0 ? innermost(work) : path & 1 ? left(work, depth - 1, path >> 1) : right(work, depth - 1, path >> 1);
  KEEP();
}

static void *run(void *pointer) {
  struct work *work = pointer;
  while (work->done < option[PAIRS]) left(work, option[DEPTH], next(work) & ((1ull << option[SITES]) - 1));
  return NULL;
}

static uint64_t digest(const struct work *work) {
  uint64_t sum = work->random ^ work->done;
  for (uint64_t at = 0; at < option[LIVE]; at++) sum = (sum ^ (work->blocks[at] ? *work->blocks[at] : 0)) * 1099511628211u;
  return sum;
}

int main(int count, char **words) {
  for (int at = 1; at + 1 < count; at += 2)
    for (int which = 0; which < OPTIONS; which++)
      if (!strcmp(words[at], names[which])) option[which] = strtoull(words[at + 1], NULL, 10);
  struct work *works = calloc(option[THREADS], sizeof *works);
  pthread_t *threads = calloc(option[THREADS], sizeof *threads);
  for (uint64_t at = 0; at < option[THREADS]; at++)
    works[at] = (struct work){.random = 88172645463325252u + at * 7919, .blocks = calloc(option[LIVE], sizeof(uint64_t *))};
  if (option[WAIT]) puts("ready"), fflush(stdout), getchar();
  for (uint64_t at = 1; at < option[THREADS]; at++) pthread_create(&threads[at], NULL, run, &works[at]);
  run(&works[0]);
  for (uint64_t at = 1; at < option[THREADS]; at++) pthread_join(threads[at], NULL);
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  printf("ns_per_pair=%.1f\n", (used.tv_sec * 1e9 + used.tv_nsec) / (option[PAIRS] * option[THREADS]));
  uint64_t sum = 0;
  for (uint64_t at = 0; at < option[THREADS]; at++) sum += digest(&works[at]);
  printf("digest=%016lx\n", sum);
  fflush(stdout);
  for (uint64_t at = 0; option[EMPTY] && at < option[THREADS]; at++) {
    for (uint64_t block = 0; block < option[LIVE]; block++) DROP(works[at].blocks[block]);
    free(works[at].blocks);
  }
  if (option[HOLD]) while (getchar() != EOF) {}
}
