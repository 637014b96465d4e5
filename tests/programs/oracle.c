//! The third oracle: a preload behind the shim that notes the stack of each allocation as libgcc's unwinder sees it.
//! Writes to $ORACLE_DIR/PID.N, one write a line: `m NUMBER PATH` for a module at its first frame, `e SIZE NUMBER:OFFSET …` for an
//! allocation, innermost frame first. The frames of this library and of the shim are for the harness to take off.
//! Only the process that opened the file writes to it: a forked child is not followed.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);

enum { DEPTH = 160, MODULES = 512 };
struct walk { int depth; uintptr_t pc[DEPTH]; };
static struct { uintptr_t base; char path[256]; } modules[MODULES];
static int module_count, file = -1, lock;
static pid_t owner;
static __thread __attribute__((tls_model("initial-exec"))) int inside;

static void open_file(void) {
  char name[512], *dir = owner || !environ ? NULL : getenv("ORACLE_DIR"); /* later, gcc's environment holds what it has freed */
  if (!dir) return;
  owner = getpid();
  for (int i = 0; file < 0 && i < 999; i++) {
    snprintf(name, sizeof name, "%s/%d.%d", dir, owner, i);
    file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
  }
  file = fcntl(file, F_DUPFD_CLOEXEC, 900);
}

static void put(const char *text, size_t length) {
  if (write(file, text, length) != (ssize_t)length) abort();
}

/* The module's number; -1 for a pc outside every module. */
static int number_of(uintptr_t pc, uintptr_t *offset) {
  struct dl_find_object found;
  if (_dl_find_object((void *)pc, &found) != 0) return *offset = pc, -1;
  struct link_map *map = found.dlfo_link_map;
  int number = 0;
  *offset = pc - map->l_addr;
  while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE)) {}
  while (number < module_count && (modules[number].base != map->l_addr || strncmp(modules[number].path, map->l_name, 255))) number++;
  if (number == module_count && module_count < MODULES) {
    char line[320];
    modules[number].base = map->l_addr;
    strncpy(modules[number].path, map->l_name, 255);
    module_count++;
    put(line, (size_t)snprintf(line, sizeof line, "m %d %s\n", number, map->l_name));
  }
  __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
  return number;
}

static _Unwind_Reason_Code frame(struct _Unwind_Context *context, void *argument) {
  struct walk *walk = argument;
  uintptr_t pc = _Unwind_GetIP(context);
  if (walk->depth == DEPTH || !pc) return _URC_END_OF_STACK;
  walk->pc[walk->depth++] = pc;
  return _URC_NO_REASON;
}

static void *note(void *block, size_t size) {
  struct walk walk = {0};
  char line[DEPTH * 24];
  int error = errno;
  if (!block || inside) return block;
  inside = 1;
  open_file();
  if (file >= 0 && owner == getpid()) {
    _Unwind_Backtrace(frame, &walk);
    int length = sprintf(line, "e %zu", size);
    for (int i = 0; i < walk.depth; i++) {
      uintptr_t offset;
      int number = number_of(walk.pc[i], &offset);
      length += sprintf(line + length, " %d:%lx", number, (unsigned long)offset);
    }
    line[length] = '\n';
    put(line, (size_t)length + 1);
  }
  inside = 0;
  errno = error;
  return block;
}

void *malloc(size_t n) { return note(__libc_malloc(n), n); }
void *calloc(size_t k, size_t n) { return note(__libc_calloc(k, n), k * n); }
void *realloc(void *p, size_t n) { return note(__libc_realloc(p, n), n); }
void *memalign(size_t a, size_t n) { return note(__libc_memalign(a, n), n); }
void *aligned_alloc(size_t a, size_t n) { return note(__libc_memalign(a, n), n); }
int posix_memalign(void **out, size_t a, size_t n) {
  void *block = __libc_memalign(a, n);
  return block ? *out = note(block, n), 0 : ENOMEM;
}
