//! Threads that have libc load what it needs by itself, all at once: converters of character sets, and the services that know users.
#define _GNU_SOURCE
#include "step.h"
#include <iconv.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>

enum { THREADS = 4, ROUNDS = 100 };

static const char *const NAMES[] = {"IBM850", "KOI8-R", "SHIFT_JIS", "UTF-16"};
static pthread_barrier_t begin;
static int converted, known;

static void convert(int which) {
  char in[] = "name", out[64], *from = in, *to = out;
  size_t left = 4, room = sizeof out;
  iconv_t converter = iconv_open(NAMES[which % 4], "ISO-8859-1");
  if (converter == (iconv_t)-1) return;
  if (iconv(converter, &from, &left, &to, &room) == 0) __atomic_add_fetch(&converted, 1, __ATOMIC_RELAXED);
  iconv_close(converter);
}

static void look_up(void) {
  struct passwd user, *found;
  char room[4096];
  if (getpwnam_r("root", &user, room, sizeof room, &found) == 0 && found) __atomic_add_fetch(&known, 1, __ATOMIC_RELAXED);
}

static void *work(void *unused) {
  pthread_barrier_wait(&begin);
  for (int i = 0; i < ROUNDS; i++) {
    void *volatile block = malloc(53); // row: growth=0/0 total=21200/400 function=work
    convert(i);
    look_up();
    free(block);
  }
  return unused;
}

int main(void) {
  char said[64];
  pthread_t threads[THREADS];
  pthread_barrier_init(&begin, NULL, THREADS);
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work, NULL);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  snprintf(said, sizeof said, "%d %d", converted, known);
  step(said);
  return 0;
}
