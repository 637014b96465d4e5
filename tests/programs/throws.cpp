//! An operator new that finds no memory throws, and its exception passes the shim.
#include "step.h"
#include <new>

static void *volatile kept;
static volatile int bits = 50;

static void thrown() {
  try {
    kept = ::operator new((std::size_t)71 << bits); // row: growth=0/0 function=thrown
  } catch (const std::bad_alloc &) {
    kept = new char[83]; // row: growth=83/1 total=83/1 function=thrown
  }
}

int main() {
  try { throw 1; } catch (int) {}
  step("warm");
  thrown();
  step("done");
}
