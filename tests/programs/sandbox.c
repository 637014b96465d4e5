//! A program that forbids itself every system call but those that an allocator and its locks need, and allocates afterwards from
//! places that have never allocated before. A call of any other kind kills it.
#include "step.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void *volatile kept;

static void forbid(void) {
  static const int allowed[] = {SYS_read, SYS_write, SYS_exit_group, SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_futex, SYS_rt_sigprocmask};
  enum { COUNT = sizeof allowed / sizeof *allowed };
  struct sock_filter filter[COUNT + 3];
  filter[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (int i = 0; i < COUNT; i++) filter[i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], COUNT - i, 0);
  filter[COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  filter[COUNT + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {COUNT + 3, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) abort();
}

static __attribute__((noinline)) void deeper(int depth) {
  if (depth > 0) {
    deeper(depth - 1);
    kept = NULL;
    return;
  }
  kept = malloc(37); // row: growth=1480/40 total=1480/40 function=deeper
}

int main(void) {
  kept = malloc(11);
  step("warm");
  forbid();
  for (int depth = 0; depth < 40; depth++) deeper(depth);
  kept = realloc(NULL, 100003); // row: growth=0/0 total=100003/1 function=main
  free(kept);
  kept = strdup("a word"); // row: growth=7/1 total=7/1 function=main
  step("done");
  return 0;
}
