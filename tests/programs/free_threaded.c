// Looks like an interpreter's allocators, of a free-threaded build unless HAS_GIL is defined: says whether its table was replaced.
#include "step.h"
#include <stddef.h>

typedef struct {
  void *context;
  void *(*malloc)(void *, size_t);
  void *(*calloc)(void *, size_t, size_t);
  void *(*realloc)(void *, void *, size_t);
  void (*free)(void *, void *);
} Table;

static char arena[1 << 16];
static size_t used;

static void *raw_malloc(void *context, size_t size) { return malloc(size); }
static void *own_malloc(void *context, size_t size) {
  void *block = arena + used;
  used += (size + 15) & ~(size_t)15;
  return block;
}
static void *own_calloc(void *context, size_t count, size_t size) { return own_malloc(context, count * size); }
static void *own_realloc(void *context, void *block, size_t size) { return own_malloc(context, size); }
static void own_free(void *context, void *block) {}

static Table tables[3] = {
    {NULL, raw_malloc, own_calloc, own_realloc, own_free},
    {NULL, own_malloc, own_calloc, own_realloc, own_free},
    {NULL, own_malloc, own_calloc, own_realloc, own_free},
};

void PyMem_GetAllocator(int domain, Table *table) { *table = tables[domain]; }
void PyMem_SetAllocator(int domain, Table *table) { tables[domain] = *table; }
#ifndef HAS_GIL
// What only free-threaded builds export.
void _Py_MergeZeroLocalRefcount(void *object) {}
#endif

int main(void) {
  Table *objects = &tables[2];
  for (int turns = 0; turns < 10; turns++) objects->malloc(objects->context, 1000);
  step(objects->malloc == own_malloc ? "left alone" : "replaced");
  return 0;
}
