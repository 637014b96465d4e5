//! A tight loop: each block lives until 256 others have come and gone, of a million; more than a reader keeps up with.
#include "step.h"

enum { LIVE = 256, BLOCKS = 1000000 };
static void *volatile live[LIVE];

int main(void) {
  for (int at = 0; at < BLOCKS; at++) {
    free(live[at % LIVE]);
    live[at % LIVE] = malloc(40); // blocks
  }
  for (int at = 0; at < LIVE; at++) free(live[at]);
  step("done");
  return 0;
}
