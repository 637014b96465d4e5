//! Leaks a block and goes on as the program that it is given.
#include "step.h"

static void *volatile kept;

int main(int count, char **words) {
  if (count < 2) return 97;
  kept = malloc(37); // row: growth=37/1 total=37/1 function=main
  execv(words[1], words + 1);
  return 98;
}
