//! What a sample is taken of: blocks of known sizes at lines of their own, made and dropped as it is told.
//!
//! Commands: a = one filling more of each line, f = free all, t = the same by eight threads at once, k = a child that frees all and makes one filling,
//! w = every other way to get a block, g = each block gets another size, b = one block aside, h = its end, which no hook sees, and its address again,
//! e = its end, n = more than there is, q = end.
#include "step.h"
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>

enum { SMALL = 20000, MEDIUM = 400, LARGE = 3, THREADS = 8, MOST = 16 * (SMALL + MEDIUM + LARGE) };

static void **kept;
static _Atomic int count;

static void keep(void *block) {
  kept[count++] = block;
}

static void small(void) {
  for (int i = 0; i < SMALL; i++) keep(malloc(100)); // row: growth=2000000/20000 function=small
}

static void medium(void) {
  for (int i = 0; i < MEDIUM; i++) keep(malloc(5000)); // row: growth=2000000/400 function=medium
}

static void large(void) {
  for (int i = 0; i < LARGE; i++) keep(malloc(1000000)); // row: growth=3000000/3 function=large
}

static void fill(void) {
  small();
  medium();
  large();
}

static void drop(void) {
  while (count > 0) free(kept[--count]);
}

static void *worker(void *argument) {
  fill();
  return argument;
}

static void threads(void) {
  pthread_t ids[THREADS];
  for (int i = 0; i < THREADS; i++) pthread_create(&ids[i], NULL, worker, NULL);
  for (int i = 0; i < THREADS; i++) pthread_join(ids[i], NULL);
}

static void other_ways(void) {
  void *aligned = NULL;
  for (int i = 0; i < 1000; i++) {
    keep(calloc(10, 30));
    keep(aligned_alloc(64, 512));
    keep(posix_memalign(&aligned, 64, 700) ? NULL : aligned);
    void *grown = malloc(10);
    for (int size = 20; size < 3000; size *= 3) grown = realloc(grown, size);
    keep(grown);
    free(malloc(0));
  }
}

static void resize(void) {
  for (int i = 0; i < count; i++) kept[i] = realloc(kept[i], malloc_usable_size(kept[i]) + 100);
}

static void refused(void) {
  volatile size_t much = 1ul << 62;
  void *all[] = {malloc(3 * much), malloc(-1ul - much), calloc(much, 3), realloc(NULL, 2 * much), malloc(2 * much - 1)};
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i]) abort();
}

static void *aside;

static void put_aside(void) {
  aside = malloc(777);
}

void __libc_free(void *);

static void replace_hidden(void) {
  void *before = aside;
  __libc_free(aside);
  aside = malloc(777);
  if (aside != before) abort();
}

static void child(void) {
  char said[64];
  pid_t pid = fork();
  if (pid == 0) {
    drop();
    fill();
    snprintf(said, sizeof said, "child %d", getpid());
    step(said);
    _exit(0);
  }
  waitpid(pid, NULL, 0);
}

int main(int arguments, char **words) {
  kept = malloc(MOST * sizeof *kept);
  // Without an argument it goes through all that a run is asked for.
  if (arguments == 1) return fill(), 0;
  for (char *word = words[1];; word = "done") {
    switch (step(word)) {
    case 'a': fill(); break;
    case 'f': drop(); break;
    case 't': threads(); break;
    case 'k': child(); break;
    case 'w': other_ways(); break;
    case 'g': resize(); break;
    case 'b': put_aside(); break;
    case 'h': replace_hidden(); break;
    case 'e': free(aside); break;
    case 'n': refused(); break;
    default: return 0;
    }
  }
}
