// Looks like an interpreter of a version that nobody knows: the block's stack must be native.
#include "step.h"
#include <stdlib.h>

const unsigned long Py_Version = 0x04000000;

void *PyEval_EvalCode(void) {
  // Not a tail call.
  void *volatile block = malloc(4096);
  return block;
}

int main(void) {
  void *volatile block = PyEval_EvalCode();
  step("ready");
  return block == 0;
}
