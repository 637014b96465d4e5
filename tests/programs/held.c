// A library that decides when the shim learns that the interpreter is ending. `hold` puts a function of its own in the place of the interpreter's
// question whether it is finalized (Py_IsFinalizing), which a thread without the GIL asks in a hook before it reads its state, and again after.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TURNS = 100, PAGE = 4096 };

static int reached, go, over;
static volatile int is_ending;
static __thread int is_held;

static void say(int to)
{
    if (write(to, ".", 1) != 1)
        abort();
}

static void hear(int from)
{
    char byte;
    if (read(from, &byte, 1) != 1)
        abort();
}

// A thread that is held learns only after the states are gone that the interpreter was running when it asked.
static int answer(void)
{
    if (!is_held)
        return is_ending;
    is_held = 0;
    say(reached);
    hear(go);
    return 0;
}

void hold(unsigned char *question, int says_reached, int hears_go, int says_over)
{
    // mov rax, answer; jmp rax
    unsigned char jump[] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0};
    int (*there)(void) = answer;
    memcpy(jump + 2, &there, sizeof there);
    unsigned char *page = (unsigned char *)((unsigned long)question & -PAGE);
    reached = says_reached, go = hears_go, over = says_over;
    if (mprotect(page, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC))
        abort();
    memcpy(question, jump, sizeof jump);
    if (mprotect(page, 2 * PAGE, PROT_READ | PROT_EXEC))
        abort();
}

static void allocate(unsigned long bytes, int turns)
{
    for (int turn = 0; turn < turns; turn++) {
        void *volatile block = malloc(bytes);
        free(block);
    }
}

// While the interpreter lives, over its end, and after the states of its threads are gone; what the thread returns to is gone, too.
void work(unsigned long bytes)
{
    allocate(bytes, TURNS);
    is_held = 1;
    allocate(2 * bytes, 1);
    allocate(3 * bytes, TURNS);
    say(over);
    for (;;)
        pause();
}

// What was freed becomes addresses that nothing can be read at.
static void overwrite(void)
{
    enum { SMALLEST = 128, LARGEST = 4096, EACH = 16, NOWHERE = 0x40 };
    for (unsigned long bytes = SMALLEST; bytes <= LARGEST; bytes += 16)
        for (int nth = 0; nth < EACH; nth++) {
            void *volatile block = malloc(bytes);
            memset(block, NOWHERE, bytes);
        }
}

// By the thread that ends the interpreter, once it has deleted the others' states.
void let_go(int says_go, int hears_over, int threads)
{
    overwrite();
    is_ending = 1;
    for (int thread = 0; thread < threads; thread++)
        say(says_go);
    for (int thread = 0; thread < threads; thread++)
        hear(hears_over);
}
