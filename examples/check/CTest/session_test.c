#include "session.h"

#include <stdlib.h>

/* session_test TIMES: a session is opened and closed as often. */
int main(int argc, char **argv) {
  int times = argc > 1 ? atoi(argv[1]) : 1;
  for (int i = 0; i < times; i++) {
    struct session *session = session_open("somebody");
    if (!session) return 1;
    session_close(session);
  }
  return 0;
}
