//! An allocator that may be left at any instruction: a pointer moves on, and nothing is ever given back.
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { ROOM = 1 << 30 };

static char *next_byte, *end;

static void *take(size_t align, size_t size) {
  if (!next_byte) {
    next_byte = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    end = next_byte + ROOM;
  }
  uintptr_t step = (size + 63) & ~(uintptr_t)31;
  uintptr_t at = __atomic_fetch_add((uintptr_t *)&next_byte, step + align, __ATOMIC_RELAXED);
  at = (at + align - 1) & ~(align - 1);
  if (at + size > (uintptr_t)end) return NULL;
  return (void *)at;
}

void *malloc(size_t size) {
  size_t *block = take(32, size + 32);
  if (!block) return NULL;
  block[3] = size;
  return block + 4;
}

void free(void *block) {
  (void)block;
}

void *calloc(size_t count, size_t size) {
  return malloc(count * size);
}

void *realloc(void *block, size_t size) {
  void *moved = malloc(size);
  if (block && moved) {
    size_t before = ((size_t *)block)[-1];
    memcpy(moved, block, before < size ? before : size);
  }
  return moved;
}

void *memalign(size_t align, size_t size) {
  return take(align < 32 ? 32 : align, size);
}

void *aligned_alloc(size_t align, size_t size) {
  return memalign(align, size);
}

int posix_memalign(void **out, size_t align, size_t size) {
  *out = memalign(align, size);
  return *out ? 0 : 12;
}
