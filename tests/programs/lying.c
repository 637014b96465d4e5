//! A function whose unwind table says that its caller is 800 bytes further out than it is, but which keeps a frame pointer; and so does all the rest.
#include "step.h"

void *lies(size_t bytes);
__asm__(".text\n"
        ".globl lies\n"
        ".type lies, @function\n"
        "lies:\n"
        ".cfi_startproc\n"
        "push %rbp\n"
        "mov %rsp, %rbp\n"
        ".cfi_def_cfa rsp, 816\n"
        "call malloc@plt\n"
        "pop %rbp\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size lies, . - lies\n");

static void *volatile kept;

__attribute__((noinline)) static void asks(void) {
  char volatile there[4000]; // where its table leads to: nothing that is code
  for (int i = 0; i < 4000; i++) there[i] = 0x11;
  for (int i = 0; i < 5; i++) kept = lies(41);
}

int main(void) {
  step("ready");
  asks();
  step("done");
  return 0;
}
