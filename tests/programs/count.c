//! The second oracle: a counting preload. For each process, one shared file in $COUNT_DIR that is right until the last event.
//! `sizes` has a place for every 32 bytes of address space (two blocks of glibc never share one) and costs only what is touched.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
void *__libc_valloc(size_t), *__libc_pvalloc(size_t), __libc_free(void *);
struct counts { uint64_t allocations, frees, bytes, freed_bytes; char exe[4064]; };
static struct counts early, **page; /* `page` reads NULL in a forked child: the child gets a file of its own. */
static uint64_t *sizes; /* size + 1 of the block that starts here */

static struct counts *mine(void) {
  if (!sizes) {
    sizes = mmap(0, 1ul << 45, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(page, 4096, MADV_WIPEONFORK);
    int error = errno; /* The shim reads this, too: whoever watches our calls sees as many. */
    close(open("/proc/self/status", O_RDONLY | O_CLOEXEC)), errno = error;
  }
  char name[4096], *dir = *page || !environ ? 0 : getenv("COUNT_DIR");
  if (dir) {
    int error = errno, file = -1;
    for (int i = 0; file < 0 && i < 999; i++)
      snprintf(name, sizeof name, "%s/%d.%d", dir, getpid(), i), file = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct counts *made = ftruncate(file, sizeof early) ? MAP_FAILED : mmap(0, sizeof early, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (made == MAP_FAILED) abort();
    *made = early, early = (struct counts){0}, errno = error;
    if (readlink("/proc/self/exe", made->exe, sizeof made->exe - 1) < 0) abort();
    *page = made;
  }
  return *page ? *page : &early;
}
#define ADD(field, n) __atomic_fetch_add(&mine()->field, n, __ATOMIC_RELAXED)
static void *born(void *p, size_t size) { return p ? ADD(allocations, 1), ADD(bytes, size), sizes[(uintptr_t)p >> 5] = size + 1, p : p; }
static uint64_t gone(void *p) { mine(); uint64_t size = sizes[(uintptr_t)p >> 5]; sizes[(uintptr_t)p >> 5] = 0; return size; }
static void charge(uint64_t size) { if (size) ADD(frees, 1), ADD(freed_bytes, size - 1); }

void *malloc(size_t n) { return born(__libc_malloc(n), n); }
void *calloc(size_t k, size_t n) { return born(__libc_calloc(k, n), k * n); }
void *memalign(size_t a, size_t n) { return born(__libc_memalign(a, n), n); }
void *aligned_alloc(size_t a, size_t n) { return born(__libc_memalign(a, n), n); }
void *valloc(size_t n) { return born(__libc_valloc(n), n); }
void *pvalloc(size_t n) { return born(__libc_pvalloc(n), n); }
int posix_memalign(void **out, size_t a, size_t n) {
  if (a % sizeof(void *) || a & (a - 1) || !a) return EINVAL;
  void *p = memalign(a, n);
  return p ? *out = p, 0 : ENOMEM;
}
void free(void *p) { if (p) charge(gone(p)), __libc_free(p); }
void *realloc(void *p, size_t n) {
  uint64_t old = p ? gone(p) : 0;
  void *q = __libc_realloc(p, n);
  if (!q && n && old) return sizes[(uintptr_t)p >> 5] = old, q;
  return charge(old), born(q, n);
}
void *reallocarray(void *p, size_t k, size_t n) { return n && k > SIZE_MAX / n ? errno = ENOMEM, NULL : realloc(p, k * n); }
