//! Stacks through code that is made at run time, which has no unwind tables: with frame pointers, the callers are found; without, the stack
//! ends there, whatever lies in rbp.
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include "step.h"

struct link;
/* Calls the next link. */
typedef void *function(size_t bytes, struct link *next);
struct link { function *call; };

/* push rbp; mov rbp, rsp; push rbx; sub rsp, IMM; xor ebx, ebx; add rsi, 8; call [rsi - 8]; add rsp, IMM; pop rbx; pop rbp; ret */
static const unsigned char FRAMED[] = {
    0x55, 0x48, 0x89, 0xe5, 0x53, 0x48, 0x81, 0xec, 0, 0, 0, 0, 0x31, 0xdb, 0x48, 0x83, 0xc6, 0x08, 0xff, 0x56, 0xf8,
    0x48, 0x81, 0xc4, 0, 0, 0, 0, 0x5b, 0x5d, 0xc3,
};
/* push rbp; mov rbp, [rsi]; add rsi, 16; call [rsi - 8]; pop rbp; ret */
static const unsigned char BARE[] = {0x55, 0x48, 0x8b, 0x2e, 0x48, 0x83, 0xc6, 0x10, 0xff, 0x56, 0xf8, 0x5d, 0xc3};
/* sub rsp, 8; add rsi, 8; call [rsi - 8]; add rsp, 8; ret: its caller's frame pointer stays */
static const unsigned char FRAMELESS[] = {0x48, 0x83, 0xec, 8, 0x48, 0x83, 0xc6, 8, 0xff, 0x56, 0xf8, 0x48, 0x83, 0xc4, 8, 0xc3};
enum { APART = 64, INNER = 0, OUTER = 1, BARELY = 2, LEAF = 3 };

static unsigned char *pieces;
static char map[64];
static void *kept[4096];
static int held;

static function *piece(int which) { return (function *)(void *)(pieces + which * APART); }

static void put(int which, const unsigned char *code, size_t size, int frame) {
  unsigned char *at = memcpy(pieces + which * APART, code, size);
  if (frame) memcpy(at + 8, &frame, 4), memcpy(at + 24, &frame, 4);
}

static void make(void) {
  pieces = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  put(INNER, FRAMED, sizeof FRAMED, 8);
  put(OUTER, FRAMED, sizeof FRAMED, 20008);
  put(BARELY, BARE, sizeof BARE, 0);
  put(LEAF, FRAMELESS, sizeof FRAMELESS, 0);
  if (mprotect(pieces, 4096, PROT_READ | PROT_EXEC)) abort();
  snprintf(map, sizeof map, "/tmp/perf-%d.map", (int)getpid());
  FILE *file = fopen(map, "w");
  const char *names[] = {"inner", "outer", "bare", "leaf"};
  for (int i = 0; i < 4; i++) fprintf(file, "%lx %x %s\n", (long)(pieces + i * APART), APART, names[i]);
  fclose(file);
}

static void *allocate(size_t bytes, struct link *next) {
  (void)next;
  return malloc(bytes);
}

/* Compiled code between two that are made: its callers' rbx must be found behind them. */
__attribute__((noinline)) static void *relay(size_t bytes, struct link *next) {
  void *block = next->call(bytes, next + 1);
  kept[held++] = block;
  return block;
}

/* Its frame is of a size that only it knows, so it keeps a frame pointer. */
__attribute__((noinline)) static void *named(size_t bytes, struct link *next) {
  volatile char room[bytes % 7 + 1];
  room[0] = 1;
  void *block = relay(bytes, next);
  return room[0] ? block : 0;
}

/* Calls `named` by its name. */
__attribute__((noinline)) static void *by_name(size_t bytes, struct link *next) {
  void *block = named(bytes, next);
  kept[held - 1] = block;
  return block;
}

static void chain(size_t bytes, struct link *links) { links->call(bytes, links + 1); }

/* Everything that may lie in rbp where no frame pointer is kept. */
static void any_value(size_t bytes) {
  char here[64] __attribute__((aligned(16)));
  char *gone = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(gone, 8192);
  uint64_t heap[] = {0, (uint64_t)allocate, 7};
  memset(here, 0x55, sizeof here);
  uint64_t top = (uint64_t)__builtin_frame_address(0) | 0xfff;
  uint64_t values[] = {
      0, 1, 8, ~0ULL, ~7ULL, ~15ULL, (uint64_t)gone, (uint64_t)gone + 4088, (uint64_t)here, (uint64_t)here + 1,
      (uint64_t)here + 4, (uint64_t)heap, (uint64_t)allocate, (uint64_t)kept, (uint64_t)values, top + 1, top - 7, top - 15,
      top + (64ULL << 20), 0x7fffffffffffULL, 0x7ffffffffff8ULL, 0x8000000000000000ULL,
  };
  for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
    struct link links[] = {{piece(BARELY)}, {(function *)values[i]}, {allocate}};
    chain(bytes, links);
  }
}

int main(void) {
  make();
  struct link deep[] = {{relay}, {piece(OUTER)}, {named}, {piece(INNER)}, {allocate}};
  struct link flat[] = {{piece(INNER)}, {relay}, {allocate}};
  struct link leaf[] = {{by_name}, {piece(LEAF)}, {allocate}};
  for (;;) {
    switch (step("ready")) {
      case 'g':
        for (int i = 0; i < 150; i++) {
          struct link *links = i % 3 ? deep : flat; /* one call site for both */
          chain(links == deep ? 1000 : 77, links);
        }
        break;
      case 'l':
        for (int i = 0; i < 10; i++) chain(300, leaf);
        break;
      case 'a': any_value(31); break;
      default: unlink(map); return 0;
    }
  }
}
