//! A service that begins as root and goes on as nobody; then it leaks, by its debug information in a file of its own choice.
#include "step.h"

static void *volatile kept;

int main(void) {
  if (setgid(65534) != 0 || setuid(65534) != 0) return 1;
#line 2 CHOSEN
  kept = malloc(4711);
  step("leaked");
  return 0;
}
