//! Allocates, and says whether it has a child, which it never made.
#include "step.h"
#include <errno.h>
#include <sys/wait.h>

static void *volatile kept;

int main(void) {
  kept = malloc(37); // row: growth=37/1 total=37/1 function=main
  int alone = waitpid(-1, NULL, __WALL | WNOHANG) == -1 && errno == ECHILD;
  say(alone ? "alone" : "with a child");
  return 7;
}
