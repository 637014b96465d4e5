//! Loads a plugin (its argument) into name spaces of its own again and again, which bring a libc and an allocator of their own, and calls
//! its leak(): a block that no allocator of ours has given. What the program itself allocates meanwhile is known.
#define _GNU_SOURCE
#include "step.h"
#include <dlfcn.h>

static void *volatile kept;

int main(int count, char **words) {
  for (int i = 0; i < 5; i++) {
    kept = malloc(53); // row: growth=265/5 total=265/5 function=main
    void *plugin = dlmopen(LM_ID_NEWLM, words[1], RTLD_NOW);
    void (*leak)(void) = plugin ? (void (*)(void))dlsym(plugin, "leak") : NULL;
    if (!leak) return 1;
    for (int j = 0; j < 1000; j++) leak();
    kept = malloc(59); // row: growth=295/5 total=295/5 function=main
    dlclose(plugin);
  }
  step("done");
  return 0;
}
