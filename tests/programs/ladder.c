//! One line after the other, each of which allocates less than the one before it; the first by way of twenty calls.
#include "step.h"

static void *volatile kept;

static void deep(int depth) {
  if (depth > 0) deep(depth - 1);
  else kept = malloc(9000); // rung 0
}

int main(void) {
  deep(20);
  kept = malloc(8000); // rung 1
  kept = malloc(7000); // rung 2
  kept = malloc(6000); // rung 3
  kept = malloc(5000); // rung 4
  kept = malloc(4000); // rung 5
  kept = malloc(3000); // rung 6
  kept = malloc(2000); // rung 7
  kept = malloc(1000); // rung 8
  kept = malloc(900); // rung 9
  kept = malloc(800); // rung 10
  kept = malloc(700); // rung 11
  kept = malloc(600); // rung 12
  step("climbed");
  kept = malloc(50000); // rung 13
  step("higher");
  return 0;
}
