//! Loads one plugin, lets it leak, unloads it, and does the same with another, and again. Says how often one lay where the other had lain before.
#define _GNU_SOURCE
#include "step.h"
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>

static ElfW(Addr) last;
static int again;

static void use(const char *library, const char *function) {
  void *handle = dlopen(library, RTLD_NOW);
  if (!handle) abort();
  void (*leak)(void) = (void (*)(void))dlsym(handle, function);
  if (!leak) abort();
  struct link_map *map;
  if (dlinfo(handle, RTLD_DI_LINKMAP, &map)) abort();
  again += map->l_addr == last;
  last = map->l_addr;
  leak();
  dlclose(handle);
}

int main(int count, char **words) {
  if (count < 3) return 2;
  for (int round = 0; round < 10; round++) {
    use(words[1], "leak_one");
    use(words[2], "leak_two");
  }
  char said[32];
  snprintf(said, sizeof said, "%d", again);
  step(said);
  return 0;
}
