//! Code that is made at run time and named in /tmp/perf-PID.map, as runtimes do it: three functions that allocate on behalf of nobody else.
//! "stale" was where "leak" is now; "nameless" is in no map.
#include <stdio.h>
#include <sys/mman.h>
#include "step.h"

typedef void *made(size_t bytes, void *(*allocate)(size_t));

/* push rbp; mov rbp, rsp; call rsi; pop rbp; ret */
static const unsigned char CODE[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd6, 0x5d, 0xc3};
enum { APART = 64, PIECES = 3 };

static unsigned char *pieces;
static char map[64];
static void *kept[64];
static int held;

static void make(void) {
  pieces = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < PIECES; i++) memcpy(pieces + i * APART, CODE, sizeof CODE);
  if (mprotect(pieces, 4096, PROT_READ | PROT_EXEC)) abort();
}

/* A line a piece: where, how long, what it is called. */
static void name(void) {
  snprintf(map, sizeof map, "/tmp/perf-%d.map", (int)getpid());
  FILE *file = fopen(map, "w");
  fprintf(file, "%lx %x JS:~stale /srv/made.js:3:1\n", (long)pieces, APART * PIECES - APART);
  fprintf(file, "%lx %zx JS:*leak /srv/made.js:7:12\n", (long)pieces, sizeof CODE);
  fprintf(file, "%lx %zx void app.Cache.put(int)\n", (long)(pieces + APART), sizeof CODE);
  fclose(file);
}

static void call(int piece, size_t bytes) {
  kept[held++] = ((made *)(void *)(pieces + piece * APART))(bytes, malloc);
}

int main(void) {
  make();
  name();
  for (;;) {
    switch (step("ready")) {
      case 'g':
        for (int i = 0; i < 3; i++) call(0, 1001);
        for (int i = 0; i < 5; i++) call(1, 77);
        call(2, 13);
        break;
      case 'u': unlink(map); break;
      default: return 0;
    }
  }
}
