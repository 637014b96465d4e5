//! The hand-shake of every target program: it says a word on stdout and goes on when it has read a line from stdin.
//! Plain read and write: a stdio buffer would be an allocation that no test asked for.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say(const char *word) {
  char line[256];
  size_t length = strlen(word);
  memcpy(line, word, length);
  line[length] = '\n';
  if (write(1, line, length + 1) < 0) _exit(9);
}

/* Says `word`, waits for a line and returns its first character. When the harness has gone, so does the program. */
static char step(const char *word) {
  char first = 0, c = 0;
  say(word);
  for (int i = 0; c != '\n'; i++) {
    if (read(0, &c, 1) != 1) exit(0);
    if (i == 0) first = c;
  }
  return first;
}
