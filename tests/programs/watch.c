//! A step at each line of its stdin: one line leaks, one warms up, one rises and falls, one gives back what it took at first.
#include "step.h"

#define MOST 64

static void *volatile kept;
static void *teeth[8];
static void *reserve[MOST];

static void leaks(void) {
  for (int i = 0; i < 5; i++) kept = malloc(40);
}

static void warms(int time) {
  if (time < 4) kept = malloc(1000);
}

static void rises_and_falls(int time) {
  if (time % 5 == 0) {
    for (int i = 0; i < 5; i++) {
      free(teeth[i]);
      teeth[i] = NULL;
    }
  }
  teeth[time % 5] = malloc(700);
}

static void drains(void) {
  for (int i = 0; i < MOST; i++) reserve[i] = malloc(300);
}

int main(void) {
  drains();
  for (int time = 0; step("ready") != 0; time++) {
    leaks();
    warms(time);
    rises_and_falls(time);
    free(reserve[time % MOST]);
    reserve[time % MOST] = NULL;
  }
  return 0;
}
