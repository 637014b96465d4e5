//! A parent and its children: forked, by libc or by a raw system call, forked and executed, vforked, made on their parent's memory, spawned. Each process says what it is and waits for a line.
#define _GNU_SOURCE
#include "step.h"
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;
static void *volatile inherited[10];
static void *volatile kept;

static void child(void) {
  char said[64];
  for (int i = 0; i < 4; i++) free(inherited[i]);
  kept = malloc(211); // row: growth=0/0 total=0/0 function=child
  snprintf(said, sizeof said, "child %d", getpid());
  step(said);
  exit(5);
}

static int wait_for(pid_t pid) {
  int status = -1;
  waitpid(pid, &status, 0);
  return WEXITSTATUS(status);
}

static int forked(void) {
  pid_t pid = fork();
  if (pid == 0) child();
  return wait_for(pid);
}

/* As fork, but that libc does not know of it. */
static int cloned(int third) {
  struct clone_args arguments = {.exit_signal = SIGCHLD};
  pid_t pid = third ? syscall(SYS_clone3, &arguments, sizeof arguments) : -1;
  if (pid < 0) pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0); /* a sandbox may forbid the other */
  if (pid == 0) child();
  return wait_for(pid);
}

static int on_our_memory(void *words) {
  kept = malloc(307); // row: function=on_our_memory
  execv(*(char **)words, words);
  _exit(9);
}

static int shared(char **words) {
  static char stack[1 << 16] __attribute__((aligned(16)));
  return wait_for(clone(on_our_memory, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, words));
}

static int executed(char **words) {
  pid_t pid = fork();
  if (pid == 0) execv(words[0], words), _exit(9);
  return wait_for(pid);
}

static int vforked(char **words) {
  pid_t pid = vfork();
  if (pid == 0) {
    kept = malloc(307); // row: function=vforked
    execv(words[0], words);
    _exit(9);
  }
  return wait_for(pid);
}

static int spawned(char **words) {
  pid_t pid;
  return posix_spawn(&pid, words[0], NULL, NULL, words, environ) ? 9 : wait_for(pid);
}

int main(int count, char **words) {
  const char *how = count > 1 ? words[1] : "fork";
  char *again[] = {words[0], "program", NULL}, said[64];
  if (!strcmp(how, "program")) {
    kept = malloc(401); // row: growth=401/1 live=401/1 total=401/1 function=main
    snprintf(said, sizeof said, "program %d", getpid());
    step(said);
    return 6;
  }
  for (int i = 0; i < 10; i++) inherited[i] = malloc(101); // row: growth=1010/10 live=1010/10 total=1010/10 function=main
  int status = !strcmp(how, "fork") ? forked() : !strcmp(how, "clone") ? cloned(0) : !strcmp(how, "clone3") ? cloned(1) : !strcmp(how, "exec") ? executed(again)
             : !strcmp(how, "vfork") ? vforked(again) : !strcmp(how, "shared") ? shared(again) : spawned(again);
  kept = malloc(503); // row: growth=503/1 live=503/1 total=503/1 function=main
  snprintf(said, sizeof said, "parent %d", status);
  step(said);
  return 0;
}
