//! Handlers that allocate while Python code runs, for python_signals.py: of a signal that the program sends to itself, and of the trap after each instruction.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>

enum { TRAP_FLAG = 0x100 };

static uintptr_t first, end;
static volatile sig_atomic_t goes_on;
static volatile long sent, stepped;
static void *volatile kept;

static void at_signal(int number) {
  (void)number;
  sent++;
  kept = malloc(7001);
}

/* Not in the middle of malloc, which may be in any state there: after instructions of the interpreter alone, which malloc does not call. */
static void at_instruction(int number, siginfo_t *info, void *context) {
  (void)number, (void)info;
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  uintptr_t at = (uintptr_t)registers[REG_RIP];
  if (!goes_on) {
    registers[REG_EFL] &= ~(greg_t)TRAP_FLAG;
  } else if (first <= at && at < end) {
    stepped++;
    kept = malloc(8011);
    free(kept);
  }
}

/* The interpreter's code lies from `from` to `to`. */
void install(uintptr_t from, uintptr_t to) {
  struct sigaction one = {.sa_handler = at_signal}, each = {.sa_sigaction = at_instruction, .sa_flags = SA_SIGINFO};
  first = from, end = to;
  sigaction(SIGUSR1, &one, NULL);
  sigaction(SIGTRAP, &each, NULL);
}

/* From here on the processor traps after each instruction, below the 128 bytes under the stack pointer that are this function's. */
void begin(void) {
  goes_on = 1;
  __asm__ volatile("lea -128(%%rsp), %%rsp\n pushfq\n orq %0, (%%rsp)\n popfq\n lea 128(%%rsp), %%rsp" ::"i"(TRAP_FLAG) : "memory", "cc");
}

void finish(void) { goes_on = 0; }
long count_sent(void) { return sent; }
long count_stepped(void) { return stepped; }
