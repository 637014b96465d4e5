//! Threads with names, given by themselves, by others, late or never: whose allocations are whose?
#define _GNU_SOURCE
#include "step.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/prctl.h>

enum { POOL = 200, KINDS = 26 };

static void *volatile kept[POOL];
static sem_t asked, answered;
static pthread_barrier_t all_there;

static void *names_itself(void *name) {
  kept[0] = malloc(101); // before it has a name
  pthread_setname_np(pthread_self(), name);
  kept[0] = malloc(211);
  return NULL;
}

static void *names_itself_by_prctl(void *name) {
  prctl(PR_SET_NAME, name);
  kept[0] = malloc(307);
  return NULL;
}

static void *is_named(void *unused) {
  kept[0] = malloc(401); // before it has a name
  sem_post(&asked);
  sem_wait(&answered);
  kept[0] = malloc(503);
  return NULL;
}

static void *has_no_name(void *unused) {
  kept[0] = malloc(601);
  return NULL;
}

static void *of_a_pool(void *number) {
  char name[16];
  snprintf(name, sizeof name, "worker-%ld", (long)number);
  pthread_setname_np(pthread_self(), name);
  pthread_barrier_wait(&all_there);
  kept[(long)number] = malloc(45);
  return NULL;
}

static void *of_a_kind(void *letter) {
  char name[] = "kind ?";
  name[5] = (char)(long)letter;
  pthread_setname_np(pthread_self(), name);
  kept[0] = malloc(17);
  return NULL;
}

static void run(void *(*body)(void *), void *argument) {
  pthread_t thread;
  pthread_create(&thread, NULL, body, argument);
  if (body == is_named) {
    sem_wait(&asked);
    pthread_setname_np(thread, "writer");
    sem_post(&answered);
  }
  pthread_join(thread, NULL);
}

int main(void) {
  pthread_t pool[POOL];
  sem_init(&asked, 0, 0);
  sem_init(&answered, 0, 0);
  pthread_barrier_init(&all_there, NULL, POOL);
  step("warm");
  run(names_itself, "renderer");
  run(names_itself_by_prctl, "7 readers 42");
  run(is_named, NULL);
  run(has_no_name, NULL);
  step("few");
  for (long i = 0; i < POOL; i++) pthread_create(&pool[i], NULL, of_a_pool, (void *)i);
  for (long i = 0; i < POOL; i++) pthread_join(pool[i], NULL);
  step("pool");
  for (long letter = 'a'; letter < 'a' + KINDS; letter++) run(of_a_kind, (void *)letter);
  step("kinds");
  prctl(PR_SET_NAME, "boss");
  kept[0] = malloc(701);
  step("renamed");
  return 0;
}
