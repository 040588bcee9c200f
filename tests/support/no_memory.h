/* An allocator that fails at a chosen call, for every library of the process, and knows what is still alive. A program that links it has its
 * malloc and all that belongs to it. */
#ifndef CACHET_TESTS_SUPPORT_NO_MEMORY_H
#define CACHET_TESTS_SUPPORT_NO_MEMORY_H

#include <stddef.h>

/* glibc's own, which never fail here. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

/* For libraries that keep blocks for the life of the process: counted and failing as others are, but not remembered. */
void *no_memory_lend(size_t size);
void *no_memory_lend_more(void *memory, size_t size);

/* From now on allocations are counted and remembered, and call number `fails` answers NULL (from 1; 0: none does). */
void no_memory_watch(size_t fails);
/* Stops watching. Returns the number of calls. */
size_t no_memory_end(void);
/* Blocks that were taken while watched and not given back. */
size_t no_memory_left(void);
/* The callers of the one that was taken first, on stderr. */
void no_memory_show(void);

#endif
