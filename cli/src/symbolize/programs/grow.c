/* What the symbolizer is asked for; the comments at line ends are how the tests find the lines. */
#include <stdlib.h>

void *grow(int n)
{ /* the entry */
    void *block;
    block = malloc(n); /* the call */
    return block;
}

static inline __attribute__((always_inline)) char *innermost(int n)
{
    char *block = malloc(n + 1); /* the inlined call */
    block[0] = 0;
    return block;
}

static inline __attribute__((always_inline)) char *middle(int n)
{
    char *block = innermost(n * 2); /* calls innermost */
    block[n] = 1;
    return block;
}

char *outer(int n)
{
    char *block = middle(n); /* calls middle */
    block[1] = 2;
    return block;
}

static __attribute__((noinline, used)) char *hidden(int n)
{
    char *block = malloc(n);
    block[0] = 3;
    return block;
}
