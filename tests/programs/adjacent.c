//! A thread whose stack has no guard page, right above a coroutine's. The coroutine allocates; then all but the lowest pages of its stack are
//! unmapped, another coroutine runs on those, and allocates with a frame pointer that leads to where nothing is mapped any more.
#define _GNU_SOURCE
#include "step.h"
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { STACK = 1 << 18, KEPT = 1 << 15 };

static char *memory;
static ucontext_t thread_context, coroutine;
static void *volatile kept;

static void allocate(void) {
  kept = malloc(37); // row: growth=74/2 total=74/2 function=allocate
}

/* Calls malloc with rbp as it is given: the frame's address, by the tables of code that keeps a frame pointer. */
static __attribute__((noinline, optimize("O0"))) void *astray(char *frame) {
  void *block;
  __asm__ volatile("mov %%rbp, %%rbx\n mov %1, %%rbp\n mov %%rsp, %%r12\n sub $256, %%rsp\n and $-16, %%rsp\n mov $41, %%edi\n call malloc\n mov %%r12, %%rsp\n mov %%rbx, %%rbp" : "=a"(block) : "r"(frame) : "rbx", "r12", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc"); // row: growth=41/1 total=41/1 function=astray
  return block;
}

/* Reaches down to the pages that the second will run on. */
static void first(void) {
  volatile char room[STACK - KEPT / 2 - 8192];
  room[0] = 1;
  allocate();
  room[1] = 1;
}

static void second(void) {
  kept = astray(memory + STACK / 2);
}

static void run(void (*function)(void), size_t size) {
  getcontext(&coroutine);
  coroutine.uc_stack.ss_sp = memory;
  coroutine.uc_stack.ss_size = size;
  coroutine.uc_link = &thread_context;
  makecontext(&coroutine, function, 0);
  swapcontext(&thread_context, &coroutine);
}

static void *thread(void *unused) {
  allocate();
  run(first, STACK);
  munmap(memory + KEPT, STACK / 2);
  run(second, KEPT);
  return unused;
}

int main(void) {
  pthread_t id;
  pthread_attr_t attributes;
  memory = mmap(NULL, 2 * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, memory + STACK, STACK);
  pthread_create(&id, &attributes, thread, NULL); // row: function=main
  pthread_join(id, NULL);
  step("done");
  return 0;
}
