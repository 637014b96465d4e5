//! Lines whose blocks are of one size, of many, few, or resized: made, and changed in part, as it is told. It says what of each line is alive.
//!
//! Commands: m = one filling of each line, c = a third of each line's blocks is freed, and half a filling comes, n = an event of no consequence, q = end.
#include "step.h"
#include <stdio.h>

enum { LINES = 6, MOST = 100000 };

struct line { void *blocks[MOST]; unsigned size[MOST], count; long bytes; };
static struct line lines[LINES];

static void keep(int at, void *block, unsigned size) {
  struct line *line = &lines[at];
  line->blocks[line->count] = block;
  line->size[line->count++] = size;
  line->bytes += size;
}

static void one_size(int parts) {
  for (int i = 0; i < 2000 * parts; i++) keep(0, malloc(100), 100); // line: one size
}

static void many_sizes(int parts) {
  for (int i = 0; i < 315 * parts; i++) keep(1, malloc(1u << i % 21), 1u << i % 21); // line: many sizes
}

static void few_large(int parts) {
  for (int i = 0; i < 2 * parts; i++) keep(2, malloc(1000000), 1000000); // line: few large
}

static void many_small(int parts) {
  for (int i = 0; i < 8000 * parts; i++) keep(3, malloc(24), 24); // line: many small
}

static void resized(int parts) {
  for (int i = 0; i < 400 * parts; i++) {
    void *block = malloc(40);
    for (unsigned size = 60; size <= 60u << i % 6; size *= 2)
      block = realloc(block, size); // line: resized
    keep(4, block, 60u << i % 6);
  }
}

static void small_beside_large(int parts) {
  for (int i = 0; i < 310 * parts; i++) {
    unsigned size = i % 31 ? 16 : 100000;
    keep(5, malloc(size), size); // line: small beside large
  }
}

static void make(int parts) {
  one_size(parts);
  many_sizes(parts);
  few_large(parts);
  many_small(parts);
  resized(parts);
  small_beside_large(parts);
}

static void drop_third(struct line *line) {
  unsigned left = 0;
  line->bytes = 0;
  for (unsigned i = 0; i < line->count; i++) {
    if (i % 3 == 1) {
      free(line->blocks[i]);
      continue;
    }
    line->blocks[left] = line->blocks[i];
    line->bytes += line->size[left++] = line->size[i];
  }
  line->count = left;
}

static void change(void) {
  for (int at = 0; at < LINES; at++) drop_third(&lines[at]);
  make(1);
}

static const char *alive(void) {
  static char word[200];
  int end = 0;
  for (int at = 0; at < LINES; at++) end += snprintf(word + end, sizeof word - end, "%ld %u ", lines[at].bytes, lines[at].count);
  return word;
}

int main(void) {
  for (;;) {
    switch (step(alive())) {
    case 'm': make(2); break;
    case 'c': change(); break;
    case 'n': free(malloc(1)); break;
    default: return 0;
    }
  }
}
