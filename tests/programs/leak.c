//! Leaks of odd sizes before and after the mark `warm`, and blocks that are freed: the known answer in C.
#include "step.h"

static void *volatile kept;

static void in_loop(int times) {
  for (int i = 0; i < times; i++) {
    kept = malloc(37); // row: growth=111/3 live=148/4 total=111/3 function=in_loop
  }
}

static void twice_deep(int depth) {
  if (depth > 0) {
    twice_deep(depth - 1);
    return;
  }
  kept = malloc(1009); // row: growth=1009/1 live=2018/2 total=1009/1 function=twice_deep
}

static void given_back(int times) {
  for (int i = 0; i < times; i++) {
    kept = malloc(71); // row: growth=0/0 live=0/0 total=355/5 function=given_back
    free(kept);
  }
}

static void *before;

static void shrinks(void) {
  free(before);
}

static void round_one(void) {
  in_loop(1);
  twice_deep(2);
  given_back(3);
  before = malloc(5003); // row: growth=-5003/-1 live=0/0 total=0/0 function=round_one
}

int main(void) {
  round_one();
  step("warm");
  in_loop(3);
  twice_deep(9);
  given_back(5);
  shrinks();
  kept = malloc(53); // row: growth=53/1 live=53/1 total=53/1 function=main
  step("leaked");
  return 0;
}
