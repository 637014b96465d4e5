//! Resident memory of every kind, each from one line, in turn as the harness says: what explains RSS?
#define _GNU_SOURCE
#include "step.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

enum { MIB = 1 << 20, BLOCKS = 1 << 16, THREADS = 8 };

static void *volatile large[16];
static void *volatile small[BLOCKS];
static pthread_barrier_t deep, over;

static void *touched(size_t bytes, int protection, int flags, int file) {
  char *memory = mmap(NULL, bytes, protection, flags, file, 0);
  for (size_t at = 0; at < bytes; at += 4096)
    if (protection & PROT_WRITE) ((volatile char *)memory)[at] = 1;
  return memory;
}

static void *uses_its_stack(void *unused) {
  volatile char room[MIB];
  for (size_t at = 0; at < sizeof room; at += 4096) room[at] = 1;
  pthread_barrier_wait(&deep);
  pthread_barrier_wait(&over);
  return NULL;
}

int main(int argc, char **argv) {
  pthread_t threads[THREADS];
  pthread_barrier_init(&deep, NULL, THREADS + 1);
  pthread_barrier_init(&over, NULL, THREADS + 1);
  for (;;) {
    switch (step("ready")) {
    case 'h': // 16 large blocks, each touched
      for (int i = 0; i < 16; i++) memset(large[i] = malloc(MIB), 1, MIB);
      break;
    case 'u': // a large one that is not
      large[0] = malloc(64 * MIB);
      break;
    case 'g': // 64 MiB in small blocks
      for (int i = 0; i < BLOCKS; i++) memset(small[i] = malloc(1008), 1, 1008);
      break;
    case 'f': // all but every 64th go, and no page with them
      for (int i = 0; i < BLOCKS; i++)
        if (i % 64) free(small[i]);
      break;
    case 'a':
      touched(24 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
      break;
    case 'j':
      touched(5 * MIB, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1);
      break;
    case 'm': {
      int file = memfd_create("cache", 0);
      if (ftruncate(file, 12 * MIB)) abort();
      touched(12 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, file);
      break;
    }
    case 's':
      for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, uses_its_stack, NULL);
      pthread_barrier_wait(&deep);
      break;
    case 'F': // the file that the harness names
      touched(9 * MIB, PROT_READ, MAP_PRIVATE | MAP_POPULATE, open(argv[1], O_RDONLY));
      break;
    default:
      return 0;
    }
  }
}
