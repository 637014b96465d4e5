//! Events of known numbers: what is alive at the highest moment, what is freed at once, and as many more as a ring has no room for.
#include "step.h"
#include "heapshim.h"

static void *volatile high[100];
static void *volatile kept[50];

/* Not seen through by the compiler. */
static void *volatile passing;

int main(void) {
  step("warm");
  for (int i = 0; i < 50; i++)
    kept[i] = malloc(503); // row: growth=25150/50 live=25150/50 total=25150/50 function=main
  for (int i = 0; i < 100; i++)
    high[i] = malloc(1009); // row: growth=0/0 live=0/0 total=100900/100 function=main
  for (int i = 0; i < 100; i++) free(high[i]);
  if (heapshim_mark && heapshim_mark("middle") != 0) abort();
  for (int i = 0; i < 200; i++) {
    passing = malloc(77); // row: growth=0/0 live=0/0 total=15400/200 function=main
    free(passing);
  }
  for (int i = 0; i < 10; i++) {
    passing = malloc(11); // row: growth=0/0 live=0/0 total=110/10 function=main
    passing = realloc(passing, 211); // row: growth=2110/10 live=2110/10 total=2110/10 function=main
  }
  for (char what = step("done"); what == 'm' || what == 'l'; what = step("done")) {
    if (what == 'l') {
      kept[0] = malloc(31); // late
      continue;
    }
    for (int i = 0; i < 150000; i++) {
      passing = malloc(23); // row: growth=0/0 live=0/0 function=main
      high[i % 100] = passing;
      free(high[i % 100]);
    }
  }
  return 0;
}
