//! Outlives whatever started it: says its pid, forks a child when it is told to, then executes itself in another, and goes on.
#include "step.h"
#include <stdio.h>
#include <sys/wait.h>

static void *volatile inherited[10];
static void *volatile kept;

static void say_who(const char *who) {
  char said[64];
  snprintf(said, sizeof said, "%s %d", who, getpid());
  step(said);
}

static void child(void) {
  for (int i = 0; i < 4; i++) free(inherited[i]);
  kept = malloc(211); // row: function=child
  say_who("child");
  exit(5);
}

static int wait_for(pid_t pid) {
  int status = -1;
  waitpid(pid, &status, 0);
  return WEXITSTATUS(status);
}

int main(int count, char **words) {
  if (count > 1) {
    kept = malloc(401);
    say_who("program");
    return 6;
  }
  for (int i = 0; i < 10; i++) inherited[i] = malloc(101); // row: growth=1010/10 total=1010/10 function=main
  say_who("parent");
  pid_t pid = fork();
  if (pid == 0) child();
  if (wait_for(pid) != 5) return 1;
  char *again[] = {words[0], "program", NULL};
  pid = fork();
  if (pid == 0) execv(words[0], again), _exit(9);
  if (wait_for(pid) != 6) return 2;
  kept = malloc(503); // row: growth=503/1 total=503/1 function=main
  say_who("parent");
  return 0;
}
