//! A server in C that forgets to close what a client opened when the client goes away early.
//!
//! The right answer: `session_open` grows by a session for every tenth client, and so does the line of its buffer, which is
//! allocated through `xmalloc`: charged is the line that calls it, not `xmalloc` itself. Nothing else grows.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct session {
  char *buffer;
  int client;
};

static void *xmalloc(size_t size) {
  void *block = malloc(size);
  if (block == NULL) abort();
  return block;
}

static struct session *session_open(int client) {
  // row: growth=1600/100 total=16000/1000 function=session_open
  struct session *session = calloc(1, sizeof *session);
  // row: growth=409900/100 total=4099000/1000 function=session_open
  session->buffer = xmalloc(4099);
  session->client = client;
  return session;
}

static void session_close(struct session *session) {
  free(session->buffer);
  free(session);
}

static void serve(int client) {
  struct session *session = session_open(client);
  if (client % 10 == 7) return; /* gone early: the leak */
  memset(session->buffer, client, 4099);
  session_close(session);
}

/* Serves a thousand clients each time a line is read. */
int main(void) {
  char line[80];
  setvbuf(stdin, NULL, _IONBF, 0);
  setvbuf(stdout, NULL, _IONBF, 0);
  puts("ready");
  while (fgets(line, sizeof line, stdin)) {
    for (int client = 0; client < 1000; client++) serve(client);
    puts("served");
  }
  return 0;
}
