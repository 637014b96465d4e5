//! Touches blocks of 65,537 bytes until it is killed, and says an `x` after each: what a cgroup lets it have. At most 512 MiB, lest it be the machine's.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 65537, MOST = 8192 };

static void *volatile kept;

int main(void) {
  for (int i = 0; i < MOST; i++) {
    kept = malloc(BLOCK); // row: function=main
    if (!kept) return 3;
    memset(kept, 1, BLOCK);
    if (write(1, "x", 1) != 1) return 4;
  }
  return 5;
}
