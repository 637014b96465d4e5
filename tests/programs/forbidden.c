//! Runs a command under a filter that forbids one call, on pain of death or with EPERM: forbidden.c kill|refuse NUMBER COMMAND…
#include "forbid.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **words) {
  if (count < 4) return 97;
  unsigned kill = words[1][0] == 'k';
  if (forbid(strtoul(words[2], NULL, 10), kill ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM)) return 99;
  execv(words[3], words + 3);
  return 98;
}
