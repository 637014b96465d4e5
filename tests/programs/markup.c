//! A leak in a file whose name, in the debug information, would end a script and begin another one in a page that did not take care.
#include "step.h"

static void *volatile kept;

int main(void) {
  step("warm");
#line 7 "</script><script>hurt()</script><img src=x onerror=hurt()>.c"
  kept = malloc(77);
  step("leaked");
  return 0;
}
