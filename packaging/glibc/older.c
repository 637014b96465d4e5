/* What a command that is linked to a new glibc has to bring along to start on one as old as ./stubs says. Linked into the packages alone.
 *
 * Below 2.33 there is no `stat64` to link to, only the functions that newer ones still have for programs of that time. Below 2.34 a program's
 * constructors (Rust's standard library has one, for the arguments) are run by a function that the program hands over: what starts a program that is built
 * now hands over none, since glibc does it itself. It leaves it to the program where it gets one, so that they are run once there, too. */
#include <stddef.h>
#include <sys/stat.h>

typedef int entry_point(int, char **, char **);
typedef void constructor(int, char **, char **);

extern constructor *__init_array_start[], *__init_array_end[];
extern void _init(void);

static void construct(int count, char **words, char **variables)
{
	_init();
	for (constructor **one = __init_array_start; one < __init_array_end; one++)
		(*one)(count, words, variables);
}

/* The linker's option --wrap has the program's start call this one, and this one call glibc's. */
int __real___libc_start_main(entry_point *, int, char **, constructor *, void (*)(void), void (*)(void), void *);

int __wrap___libc_start_main(entry_point *entry, int count, char **words, constructor *init, void (*fini)(void), void (*loader)(void), void *stack)
{
	return __real___libc_start_main(entry, count, words, init ? init : construct, fini, loader, stack);
}

/* The only layout of `struct stat` that x86-64 has ever had. */
enum { STAT_VERSION = 1 };

int __xstat64(int, const char *, struct stat *);
int __lxstat64(int, const char *, struct stat *);
int __fxstat64(int, int, struct stat *);
int __fxstatat64(int, int, const char *, struct stat *, int);

int stat64(const char *path, struct stat *out) { return __xstat64(STAT_VERSION, path, out); }

int lstat64(const char *path, struct stat *out) { return __lxstat64(STAT_VERSION, path, out); }

int fstat64(int file, struct stat *out) { return __fxstat64(STAT_VERSION, file, out); }

int fstatat64(int directory, const char *path, struct stat *out, int flags)
{
	return __fxstatat64(STAT_VERSION, directory, path, out, flags);
}
