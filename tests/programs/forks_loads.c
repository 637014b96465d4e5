//! A forked child with threads of its own, of which some load and unload a library while others allocate: whoever asks for the objects that are loaded
//! finds a list that changes. The parent, meanwhile, does nothing.
#define _GNU_SOURCE
#include "step.h"
#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>

enum { CHILDREN = 4, LOADERS = 2, WORKERS = 2, LOADS = 150, BLOCKS = 20000 };
static void *volatile kept;

static void *load(void *path) {
  for (int i = 0; i < LOADS; i++) {
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!object) _exit(8);
    void (*leak)(void) = (void (*)(void))dlsym(object, "leak");
    leak();
    dlclose(object);
  }
  return NULL;
}

static void *work(void *unused) {
  for (int i = 0; i < BLOCKS; i++) {
    void *volatile block = malloc(53); // row: growth=0/0 total=2120000/40000 function=work
    free(block);
  }
  kept = malloc(211); // row: growth=422/2 total=422/2 function=work
  return unused;
}

static void child(char **libraries) {
  pthread_t threads[LOADERS + WORKERS];
  for (int i = 0; i < LOADERS; i++) pthread_create(&threads[i], NULL, load, libraries[i]);
  for (int i = 0; i < WORKERS; i++) pthread_create(&threads[LOADERS + i], NULL, work, NULL);
  for (int i = 0; i < LOADERS + WORKERS; i++) pthread_join(threads[i], NULL);
  _exit(0);
}

int main(int count, char **words) {
  int failed = count < 1 + LOADERS;
  for (int i = 0; i < CHILDREN && !failed; i++) {
    pid_t pid = fork();
    if (pid == 0) child(words + 1);
    int status = -1;
    waitpid(pid, &status, 0);
    failed += status != 0;
  }
  return failed;
}
