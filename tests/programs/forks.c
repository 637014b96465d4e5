//! A parent and its children: forked, forked and executed, vforked, spawned. Each process says what it is and waits for a line.
#define _GNU_SOURCE
#include "step.h"
#include <spawn.h>
#include <stdio.h>
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
  int status = !strcmp(how, "fork") ? forked() : !strcmp(how, "exec") ? executed(again) : !strcmp(how, "vfork") ? vforked(again) : spawned(again);
  kept = malloc(503); // row: growth=503/1 live=503/1 total=503/1 function=main
  snprintf(said, sizeof said, "parent %d", status);
  step(said);
  return 0;
}
