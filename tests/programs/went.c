//! Says twice that SIGUSR1 came.
#include "step.h"
#include <signal.h>

int main(void) {
  int signal;
  sigset_t awaited;
  sigemptyset(&awaited);
  sigaddset(&awaited, SIGUSR1);
  sigprocmask(SIG_BLOCK, &awaited, NULL);
  step("ready");
  sigwait(&awaited, &signal);
  step("first");
  sigwait(&awaited, &signal);
  step("second");
  return 5;
}
