//! Locks its memory (its first argument is mlockall's), if asked to as another user with a limit of that many bytes, and says what is locked and
//! resident, in KiB: once locked, and once it has allocated.
#include "step.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* A figure of /proc/self/status. Read without stdio, whose buffer would be an allocation. */
static long figure(const char *name) {
  static char text[8192];
  int file = open("/proc/self/status", O_RDONLY);
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  text[length > 0 ? length : 0] = 0;
  char *line = strstr(text, name);
  return line ? atol(line + strlen(name)) : -1;
}

static void say_figures(const char *word, long result) {
  char line[200];
  snprintf(line, sizeof line, "%s %ld %ld %ld", word, result, figure("VmLck:"), figure("VmRSS:"));
  step(line);
}

static void *volatile kept[300];

int main(int count, char **words) {
  int flags = count > 1 ? atoi(words[1]) : MCL_CURRENT;
  if (count > 2) {
    struct rlimit limit = {strtoul(words[2], NULL, 10), strtoul(words[2], NULL, 10)};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) || setuid(65534)) return 1;
  }
  int result = mlockall(flags) ? errno : 0;
  say_figures("locked", result);
  for (int i = 0; i < 300; i++) kept[i] = malloc(1003); // row: growth=300900/300 total=300900/300 function=main
  void *large = malloc(3000017); // row: growth=0/0 total=3000017/1 function=main
  memset(large, 1, 3000017);
  free(large);
  say_figures("done", munlockall());
  return 0;
}
