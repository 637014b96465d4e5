//! A library whose constructor and destructor allocate; also put in front of the shim.
#include <stdlib.h>

static void *volatile block;

__attribute__((constructor)) static void begin(void) {
  block = malloc(71); // row: function=begin
}

__attribute__((destructor)) static void end(void) {
  free(block);
  block = malloc(73); // row: function=end
}
