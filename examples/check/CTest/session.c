#include "session.h"

#include <stdlib.h>
#include <string.h>

struct session {
  char *user;
};

struct session *session_open(const char *user) {
  struct session *session = malloc(sizeof *session);
  session->user = strdup(user);
  return session;
}

void session_close(struct session *session) { free(session); }
