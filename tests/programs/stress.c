//! Everything at once, from one seed: waves of threads, each of which makes and drops blocks, forks, loads and unloads plugins, runs
//! coroutines on stacks that are unmapped and used again, and is interrupted by handlers that allocate on a stack of their own.
//! What it says at its end is the known answer, counted by itself, in bytes and blocks: `made`, what of it is still `live`, what its `children`
//! made of their own, what they `freed` that they had inherited, and the blocks that `plugins` made.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { KEPT = 48, STACK = 1 << 16, SMALL = 16384, PLUGINS = 3 };
static atomic_long made_bytes, made_blocks, live_bytes, live_blocks, child_bytes, child_blocks, freed_bytes, freed_blocks, plugin_blocks, failures;
static const char *plugins;
static int rounds;

/* True while the thread may be interrupted by a handler that allocates: not inside of the allocator, nor of what calls it. */
static _Thread_local volatile sig_atomic_t calm;

static __attribute__((noinline)) void *make(size_t size) {
  size_t *block = malloc(size); // row: function=make
  *block = size;
  made_bytes += (long)size;
  made_blocks++;
  live_bytes += (long)size;
  live_blocks++;
  return block;
}

static void drop(void *block) {
  if (!block) return;
  live_bytes -= *(long *)block;
  live_blocks--;
  free(block);
}

static uint32_t draw(uint32_t *state, uint32_t below) {
  *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
  return *state % below;
}

static void *deep(int depth, size_t size) {
  char room[48];
  memset(room, depth, sizeof room);
  void *block = depth ? deep(depth - 1, size) : make(size);
  return room[3] == (char)depth ? block : NULL;
}

static void handle(int number) {
  (void)number;
  if (!calm) return;
  calm = 0;
  void *first = make(24), *second = make(4008);
  drop(first);
  drop(second);
  calm = 1;
}

static void be_calm(void) {
  calm = 1;
  for (volatile int i = 0; i < 20000; i++) {}
  calm = 0;
}

static __attribute__((noinline)) void in_child(int blocks) {
  for (int i = 0; i < blocks; i++) *(void *volatile *)malloc(104) = NULL; // row: function=in_child
}

static void fork_one(uint32_t *state, void **kept) {
  int blocks = 1 + (int)draw(state, 5), status = -1;
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 3; i++) free(kept[i]);
    in_child(blocks);
    _exit(blocks);
  }
  waitpid(pid, &status, 0);
  failures += !WIFEXITED(status) || WEXITSTATUS(status) != blocks;
  child_bytes += 104 * blocks;
  child_blocks += blocks;
  for (int i = 0; i < 3; i++) {
    freed_bytes += kept[i] ? *(long *)kept[i] : 0;
    freed_blocks += kept[i] != NULL;
  }
}

static void load_one(uint32_t *state) {
  char path[512];
  snprintf(path, sizeof path, "%s%u.so", plugins, draw(state, PLUGINS));
  void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!object) {
    failures++;
    return;
  }
  void *(*work)(void) = (void *(*)(void))dlsym(object, "work");
  void *block = work();
  plugin_blocks++;
  dlclose(object);
  free(block);
}

static _Thread_local ucontext_t outside, inside;
static _Thread_local void *given;

static void coroutine(int size) {
  void *first = make(64);
  swapcontext(&inside, &outside);
  drop(first);
  given = make((size_t)size);
}

static void *switch_to_and_fro(int size) {
  void *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  getcontext(&inside);
  inside.uc_stack.ss_sp = stack, inside.uc_stack.ss_size = STACK, inside.uc_link = &outside;
  makecontext(&inside, (void (*)(void))coroutine, 1, size);
  swapcontext(&outside, &inside);
  swapcontext(&outside, &inside);
  munmap(stack, STACK);
  return given;
}

static void replace(void **place, void *block) {
  drop(*place);
  *place = block;
}

static void *wave(void *argument) {
  uint32_t state = (uint32_t)(uintptr_t)argument | 1;
  void *kept[KEPT] = {0};
  stack_t other = {.ss_sp = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), .ss_size = STACK};
  sigaltstack(&other, NULL);
  for (int i = 0; i < rounds; i++) {
    void **place = &kept[draw(&state, KEPT)];
    size_t size = 8 + draw(&state, draw(&state, 16) ? 900 : 300000);
    switch (draw(&state, 64)) {
    case 0: fork_one(&state, kept); break;
    case 1: case 2: load_one(&state); break;
    case 3: case 4: replace(place, switch_to_and_fro((int)size)); break;
    case 5: case 6: be_calm(); break;
    case 7: case 8: case 9: case 10: replace(place, NULL); break;
    case 11: replace(place, deep(300, size)); break;
    default: replace(place, deep((int)draw(&state, 20), size));
    }
  }
  for (int i = 0; i < KEPT; i++)
    if (i % 4) replace(&kept[i], NULL);
  sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
  munmap(other.ss_sp, STACK);
  return NULL;
}

/* On the smallest stack that a thread may have, without signals. */
static void *small(void *argument) {
  uint32_t state = (uint32_t)(uintptr_t)argument | 1;
  for (int i = 0; i < 20; i++) drop(make(8 + draw(&state, 500)));
  return NULL;
}

static void start(pthread_t *thread, int is_small, uintptr_t seed) {
  pthread_attr_t attributes;
  sigset_t all, before;
  sigfillset(&all);
  pthread_attr_init(&attributes);
  if (is_small) pthread_attr_setstacksize(&attributes, SMALL);
  pthread_sigmask(SIG_SETMASK, is_small ? &all : NULL, &before);
  failures += pthread_create(thread, &attributes, is_small ? small : wave, (void *)seed) != 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
}

int main(int count, char **words) {
  if (count < 5) return 2;
  uint32_t state = (uint32_t)atoi(words[1]) * 2654435761u | 1;
  int waves = atoi(words[2]);
  rounds = atoi(words[3]), plugins = words[4];
  struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART | SA_ONSTACK};
  sigaction(SIGPROF, &action, NULL);
  struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_PROF, &often, NULL);
  for (int i = 0; i < waves; i++) {
    pthread_t threads[24];
    int of_this = 2 + (int)draw(&state, 23);
    for (int t = 0; t < of_this; t++) start(&threads[t], t % 3 == 2, draw(&state, 1u << 30));
    for (int t = 0; t < of_this; t++) pthread_join(threads[t], NULL);
  }
  setitimer(ITIMER_PROF, &never, NULL);
  printf("made %ld %ld live %ld %ld children %ld %ld freed %ld %ld plugins %ld\n", made_bytes, made_blocks, live_bytes, live_blocks, child_bytes,
         child_blocks, freed_bytes, freed_blocks, plugin_blocks);
  fflush(stdout);
  return failures ? 1 : 0;
}
