//! Loads one plugin, lets it leak, unloads it, and does the same with another, which the loader may put in the same place.
#include "step.h"
#include <dlfcn.h>

static void use(const char *library, const char *function) {
  void *handle = dlopen(library, RTLD_NOW);
  if (!handle) abort();
  void (*leak)(void) = (void (*)(void))dlsym(handle, function);
  if (!leak) abort();
  leak();
  dlclose(handle);
}

int main(int count, char **words) {
  if (count < 3) return 2;
  for (int round = 0; round < 10; round++) {
    use(words[1], "leak_one");
    use(words[2], "leak_two");
  }
  step("done");
  return 0;
}
