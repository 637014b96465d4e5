//! Does to its descriptors what its argument says, as daemons and shells do, and leaks afterwards.
#define _GNU_SOURCE
#include "step.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void *volatile kept;

/* Calls `act` with each descriptor from 3 on that is open on a memfd when this is called. */
static void each_memfd(void (*act)(int)) {
  int found[16], count = 0;
  for (int fd = 3; fd < 20000 && count < 16; fd++) {
    char path[64], name[256];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, name, sizeof name - 1);
    if (length > 7 && !memcmp(name, "/memfd:", 7)) found[count++] = fd;
  }
  for (int i = 0; i < count; i++) act(found[i]);
}

static void cover(int fd) { dup2(1, fd); }
static void cover3(int fd) { dup3(1, fd, O_CLOEXEC); }
static void shut(int fd) { close(fd); }

static int next_number(void) {
  int fd = open("/dev/null", O_RDONLY);
  close(fd);
  return fd;
}

/* How many numbers from 3 on, of all that may be had, are open. */
static int open_numbers(void) {
  int open = 0;
  for (long fd = 3; fd < sysconf(_SC_OPEN_MAX); fd++) open += fcntl(fd, F_GETFD) >= 0;
  return open;
}

/* Becomes a program that may have so many. */
static void lower(char **words, int most) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = most;
  setrlimit(RLIMIT_NOFILE, &limit);
  words[1] = "count";
  execv("/proc/self/exe", words);
}

int main(int count, char **words) {
  const char *how = count > 1 ? words[1] : "nothing";
  char said[64];
  if (atoi(how) > 0) lower(words, atoi(how));
  if (!strcmp(how, "count")) {
    snprintf(said, sizeof said, "%d open of %ld", open_numbers(), sysconf(_SC_OPEN_MAX));
    step(said);
    return 0;
  }
  int before = next_number();
  kept = malloc(37); // row: growth=37/1 total=37/1 function=main
  step("warm");
  if (!strcmp(how, "loop")) for (int fd = 3; fd < 4096; fd++) close(fd);
  if (!strcmp(how, "range")) close_range(3, ~0u, 0);
  if (!strcmp(how, "from")) closefrom(3);
  if (!strcmp(how, "dup2")) each_memfd(cover);
  if (!strcmp(how, "dup3")) each_memfd(cover3);
  if (!strcmp(how, "close")) each_memfd(shut);
  kept = malloc(43); // row: growth=43/1 total=43/1 function=main
  snprintf(said, sizeof said, "%d %d", before, next_number());
  step(said);
  return 0;
}
