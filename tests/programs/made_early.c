//! What allocates before main and after: the program's constructors and destructors, and those of a library that it loads and unloads.
#include "step.h"
#include <dlfcn.h>

static void *volatile kept;

__attribute__((constructor)) static void begin(void) {
  kept = malloc(61); // row: growth=0/0 total=61/1 function=begin
}

__attribute__((destructor)) static void end(void) {
  free(kept);
  kept = malloc(67); // row: growth=67/1 total=67/1 function=end
}

int main(int count, char **words) {
  for (int i = 0; i < 5; i++) {
    void *object = dlopen(words[1], RTLD_NOW);
    if (!object || dlclose(object)) return 1;
  }
  return count != 2;
}
