//! Loads a plugin by its bare name: found by the RUNPATH of whoever calls dlopen, which must be the program.
#include "step.h"
#include <dlfcn.h>

int main(void) {
  void *plugin = dlopen("libplugin.so", RTLD_NOW);
  void (*leak)(void) = plugin ? (void (*)(void))dlsym(plugin, "leak") : NULL;
  if (!leak) {
    say("not found");
    return 1;
  }
  leak();
  step("found");
  return 0;
}
