/* heapshim.h: marks that a program takes of itself.
 *
 * The symbols are weak: a program that calls through these wrappers links and runs without the shim, and then does nothing.
 *
 *     #include "heapshim.h"
 *     heapshim_mark_if_active("warm");
 *
 * From Python: ctypes.CDLL(None).heapshim_mark(b"warm")
 */
#ifndef HEAPSHIM_H
#define HEAPSHIM_H

#ifdef __cplusplus
extern "C" {
#endif

/* Takes a mark with this name (at most 63 bytes of it); `heapshim diff NAME` finds it. The last 8 are kept.
 * Returns 0, or -1 where the process is not traced or nine threads take marks at once. Safe to call from any thread; costs about as
 * much as a `heapshim mark`. NULL where the shim is not loaded: test the address, or use the wrapper below. */
__attribute__((weak)) int heapshim_mark(const char *name);

/* 1 where this process is traced, else 0. NULL where the shim is not loaded. */
__attribute__((weak)) int heapshim_active(void);

/* As heapshim_mark, also where the shim is not loaded (-1). */
static inline int heapshim_mark_if_active(const char *name)
{
	return heapshim_mark ? heapshim_mark(name) : -1;
}

#ifdef __cplusplus
}
#endif
#endif
