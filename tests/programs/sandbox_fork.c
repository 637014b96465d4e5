//! A program that forbids itself memfd_create, on pain of death, and then forks: its child may not have an account, and lives.
//! With an argument it only asks, as libseccomp does, what the kernel knows of filters: its child has an account.
#include "forbid.h"
#include "step.h"
#include <sys/syscall.h>
#include <sys/wait.h>

static void *volatile kept;

/* Calls that fail, whatever the kernel knows: it would read a filter at NULL. */
static void ask(void) {
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL) == 0) abort();
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, NULL) == 0) abort();
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL) == 0) abort();
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) == 0) abort();
}

int main(int count, char **words) {
  (void)words;
  int status = -1;
  kept = malloc(37); // row: growth=37/1 total=37/1 function=main
  if (count > 1) ask();
  else if (forbid(SYS_memfd_create, SECCOMP_RET_KILL_PROCESS)) abort();
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
