//! A program that forbids itself memfd_create, on pain of death, and then forks: its child may not have an account, and lives.
#include "step.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void *volatile kept;

static void forbid(void) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) abort();
}

int main(void) {
  int status = -1;
  kept = malloc(37); // row: growth=37/1 total=37/1 function=main
  forbid();
  pid_t pid = fork();
  if (pid == 0) {
    free(kept);
    kept = malloc(101); // row: growth=0/0 total=0/0 function=main
    _exit(7);
  }
  waitpid(pid, &status, 0);
  step(WIFEXITED(status) && WEXITSTATUS(status) == 7 ? "lived" : "died");
  return 0;
}
