// A library whose one function allocates for ever: what a daemon thread does while its program ends. Once it is under way it says so.
#include <stdlib.h>
#include <unistd.h>

void churn(unsigned long bytes, int said)
{
    for (unsigned long turns = 0;; turns++) {
        void *volatile block = malloc(bytes);
        free(block);
        if (turns == 100 && write(said, ".", 1) != 1)
            abort();
    }
}
