//! Says whether the loader tells without a lock what lies at an address, as glibc's does from 2.35 on.
#define _GNU_SOURCE
#include "step.h"
#include <dlfcn.h>

int main(void) {
  step(dlsym(RTLD_DEFAULT, "_dl_find_object") ? "there" : "absent");
  return 0;
}
