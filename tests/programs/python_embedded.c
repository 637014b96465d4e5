// Loads an interpreter and starts and ends it three times; unloads it in between where the second word is "unload".
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char program[] =
    "import gc; gc.disable()\n"
    "class Slots:\n"
    "    __slots__ = ('one',)\n"
    "kept = [None] * 1000\n"
    "places = list(range(1000))\n"
    "def make():\n"
    "    for at in places:\n"
    "        kept[at] = Slots()\n"
    "make()\n"
    "del kept\n";

static void *need(void *library, const char *name) {
  void *found = library ? dlsym(library, name) : NULL;
  if (!found) {
    fprintf(stderr, "%s: %s\n", name, dlerror());
    exit(1);
  }
  return found;
}

int main(int count, char **words) {
  int unloads = count > 2 && strcmp(words[2], "unload") == 0;
  for (int round = 0; round < 3; round++) {
    void *library = dlopen(words[1], RTLD_NOW | RTLD_GLOBAL);
    ((void (*)(int))need(library, "Py_InitializeEx"))(0);
    int failed = ((int (*)(const char *))need(library, "PyRun_SimpleString"))(program);
    failed |= ((int (*)(void))need(library, "Py_FinalizeEx"))();
    if (failed) return 1;
    if (unloads) dlclose(library);
  }
  return 0;
}
