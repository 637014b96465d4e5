//! C: functions that do nothing but ask malloc, under names that nobody knows: the line that calls them is charged, and they are the
//! `via`. And functions that look like them and do something, which are charged themselves.
#include "step.h"
#include <errno.h>
#include <error.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#define OUT __attribute__((noinline))

static void *volatile kept;
static volatile size_t one = 1;

/* Wrappers. */

/* The plainest: a message, and the end. */
static void *grab(size_t n) {
  void *p = malloc(n);
  if (!p) {
    fputs("oom\n", stderr);
    abort();
  }
  return p;
}

/* It ends the process only in a function that nobody has declared to. */
OUT static void fatal(const char *what) {
  fprintf(stderr, "fatal: %s: %s\n", what, strerror(errno));
  exit(3);
}

OUT static void *must(size_t n) {
  void *p = malloc(n);
  if (p == NULL) fatal("out of memory");
  return p;
}

/* A check before, and the sizes' product. */
OUT static void *many(size_t count, size_t size) {
  if (size && count > SIZE_MAX / size) fatal("too many");
  void *p = malloc(count * size);
  if (!p) error(3, errno, "no memory");
  return p;
}

/* Counters, with a lock around them. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { size_t calls, bytes; } counted;
static _Atomic size_t peak;
static __thread size_t own_calls;

OUT static void *counting(size_t n) {
  void *p = malloc(n);
  if (!p) return NULL;
  pthread_mutex_lock(&lock);
  counted.calls++;
  counted.bytes += malloc_usable_size(p);
  pthread_mutex_unlock(&lock);
  peak += n;
  own_calls++;
  return p;
}

static inline size_t rounded(size_t n) { return (n + 15) & ~(size_t)15; }

OUT static void *cleared(size_t n) {
  void *p = malloc(rounded(n));
  if (!p) abort();
  memset(p, 0, n);
  return p;
}

OUT static void *zeroes(size_t count, int size) {
  void *p = calloc(count, size);
  if (!p) fatal("no zeroes");
  return p;
}

OUT static void *again(void *old, size_t n) {
  void *p = realloc(old, n ? n : 1);
  if (!p) fatal("no more");
  return p;
}

OUT static void *aligned(size_t n) {
  void *p;
  if (posix_memalign(&p, 64, n) != 0) fatal("not aligned");
  return p;
}

/* Another try after making room: not where the block was given at once. */
static int (*make_room)(size_t);

OUT static void *patient(size_t n) {
  void *p;
  while (!(p = malloc(n)))
    if (!make_room || !make_room(n)) abort();
  return p;
}

/* A wrapper of a wrapper. */
OUT static void *twice(size_t n) {
  void *p = grab(n);
  counted.calls++;
  return p;
}

/* An interface that somebody else prescribes, with a size among other things. */
struct pool { size_t used; };

OUT static void *from_pool(struct pool *pool, double factor, unsigned items, size_t size) {
  void *p = malloc(items * size);
  if (!p) return NULL;
  pool->used += items * size;
  return p;
}

/* Its size in front of the block, as allocators of others' libraries do. */
OUT static void *headed(size_t n) {
  size_t *p = malloc(n + 2 * sizeof *p);
  if (!p) abort();
  p[0] = n;
  p[1] = 0x51ee7;
  return p + 2;
}

/* No wrappers. */

struct list { struct list *next; int number; char text[48]; };

/* A typed thing, made ready. */
static struct list *make_list(int number) {
  struct list *l = malloc(sizeof *l); // row: growth=64/1 function=make_list
  if (!l) abort();
  l->next = NULL;
  l->number = number;
  return l;
}

/* A thing of a size that is known, whatever it is called. */
OUT static void *make_table(int kind) {
  void *p = malloc(kind ? 320 : 32); // row: growth=320/1 function=make_table
  if (!p) abort();
  return p;
}

/* It writes into what it hands out. */
OUT static void *make_object(size_t n, int kind) {
  int *object = malloc(n); // row: growth=201/1 function=make_object
  if (!object) abort();
  object[1] = kind;
  return object;
}

static void *make_object_here(size_t n, int kind) {
  int *object = malloc(n); // row: growth=202/1 function=make_object_here
  if (!object) abort();
  object[1] = kind;
  return object;
}

/* It fills the block: what is copied is whoever copies. */
OUT static void *copied(const void *from, size_t n) {
  void *p = malloc(n); // row: growth=203/1 function=copied
  if (!p) abort();
  return memcpy(p, from, n);
}

static char *doubled(const char *from) {
  char *p = malloc(strlen(from) + 1); // row: growth=5/1 function=doubled
  if (!p) abort();
  return strcpy(p, from);
}

/* It keeps the block. */
static void *volatile last;
OUT static void *remembered(size_t n) {
  void *p = malloc(n); // row: growth=204/1 function=remembered
  if (!p) abort();
  last = p;
  return p;
}

static void *remembered_here(size_t n) {
  void *p = malloc(n); // row: growth=205/1 function=remembered_here
  if (!p) abort();
  last = p;
  return p;
}

/* It does what somebody may look for. */
OUT static void *read_some(int from, size_t n) {
  void *p = malloc(n); // row: growth=206/1 function=read_some
  if (!p) abort();
  if (read(from, p, n) < 0) return NULL;
  return p;
}

/* It hands out something else. */
OUT static void *end_of(size_t n) {
  char *p = malloc(n); // row: growth=1207/1 function=end_of
  if (!p) abort();
  kept = p;
  return p + n;
}

/* Two blocks, one of them handed out. */
OUT static void *two(size_t n) {
  void *p = malloc(n); // row: growth=208/1 function=two
  void *q = malloc(2 * n); // row: growth=416/1 function=two
  if (!p || !q) abort();
  *(void *volatile *)q = NULL;
  kept = p;
  return q;
}

/* It gives no memory. */
OUT static int put(void **to, size_t n) {
  *to = malloc(n); // row: growth=209/1 function=put
  return *to ? 0 : -1;
}

static void wrappers(void) {
  kept = grab(101 * one); // row: growth=101/1 function=wrappers via=grab
  kept = must(102 * one); // row: growth=102/1 function=wrappers via=must
  kept = many(103 * one, 2 * one); // row: growth=206/1 function=wrappers via=many
  kept = counting(104 * one); // row: growth=104/1 function=wrappers via=counting
  kept = cleared(112 * one); // row: growth=112/1 function=wrappers via=cleared
  kept = zeroes(53 * one, 2); // row: growth=106/1 function=wrappers via=zeroes
  kept = again(NULL, 107 * one); // row: growth=107/1 function=wrappers via=again
  kept = aligned(108 * one); // row: growth=108/1 function=wrappers via=aligned
  kept = patient(109 * one); // row: growth=109/1 function=wrappers via=patient
  kept = twice(110 * one); // row: growth=110/1 function=wrappers via=twice
  static struct pool pool;
  kept = from_pool(&pool, 1.5, 37 * one, 3 * one); // row: growth=111/1 function=wrappers via=from_pool
  kept = headed(113 * one); // row: growth=129/1 function=wrappers via=headed
  for (size_t at = 0; at < 10 * one; at++)
    kept = grab(at + 1); // row: growth=55/10 function=wrappers via=grab
}

static void others(void) {
  kept = make_list(7);
  kept = make_table(3 * one);
  kept = make_object(201 * one, 3);
  kept = make_object_here(202 * one, 3);
  static char text[203];
  memset(text, one, sizeof text);
  kept = copied(text, sizeof text * one);
  kept = doubled("text");
  kept = remembered(204 * one);
  kept = remembered_here(205 * one);
  kept = read_some(-1, 206 * one);
  kept = end_of(1207 * one);
  kept = two(208 * one);
  void *p;
  kept = put(&p, 209 * one) ? NULL : p;
}

int main(void) {
  step("warm");
  wrappers();
  others();
  step("done");
}
