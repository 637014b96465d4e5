//! Loads a plugin between two looks at it, and another in its place between the next two.
#include "step.h"
#include <dlfcn.h>

static void use(const char *path, const char *name) {
  void *plugin = dlopen(path, RTLD_NOW);
  void (*leak)(void) = plugin ? (void (*)(void))dlsym(plugin, name) : NULL;
  if (!leak) abort();
  leak();
  dlclose(plugin);
}

int main(int argc, char **argv) {
  if (argc != 3) abort();
  static void *volatile kept;
  step("warm");
  kept = malloc(53);
  step("grown");
  use(argv[1], "leak_one");
  step("one");
  use(argv[2], "leak_two");
  step("two");
  return 0;
}
