//! Works so many times: check COUNT leaky|clean. What it keeps for good: a warm-up, a table that doubles, a cache that fills at the second
//! time. A leaky time keeps 48 bytes more. From the mark `steady` on, up to the seventh time, nothing else is kept.
#include "heapshim.h"
#include <stdlib.h>
#include <string.h>

static void *volatile kept;
static void *table;

static void work(int time, int leaky) {
  if ((time & (time - 1)) == 0) table = realloc(table, 64 * (size_t)time);
  if (time == 2) kept = malloc(500);
  void *volatile block = malloc(48); // leak
  if (!leaky) free(block);
}

int main(int count, char **words) {
  kept = malloc(4096);
  heapshim_mark_if_active("warm");
  for (int time = 1; time <= atoi(words[1]); time++) {
    work(time, strcmp(words[2], "leaky") == 0);
    if (time == 6) heapshim_mark_if_active("steady");
  }
  heapshim_mark_if_active("end");
  return count > 3 ? atoi(words[3]) : 0;
}
