//! Loads a plugin, lets it leak, and unloads it; nothing comes to its place. Marks stand before and after. Then a block goes back, and it waits.
#include "step.h"
#include "heapshim.h"
#include <dlfcn.h>

int main(int count, char **words) {
  if (count < 2) return 2;
  void *volatile block = malloc(99);
  void *handle = dlopen(words[1], RTLD_NOW);
  if (!handle) abort();
  void (*leak)(void) = (void (*)(void))dlsym(handle, "leak_one");
  if (!leak) abort();
  leak();
  if (heapshim_mark && heapshim_mark("open") != 0) abort();
  dlclose(handle);
  if (heapshim_mark && heapshim_mark("closed") != 0) abort();
  free(block);
  step("unloaded");
  return 0;
}
