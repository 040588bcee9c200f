#include "tests/support/no_memory.h"

#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Blocks alive, by open addressing without deletion marks: a removed block leaves GONE. */
enum { SLOTS = 1 << 18, DEPTH = 12 };
#define GONE ((void *)1)

struct block {
    void *memory;
    size_t call;
    void *caller[DEPTH];
    int depth;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block blocks[SLOTS];
static bool watching;
static size_t calls, failing, used, alive;
static _Thread_local bool inside; /* backtrace allocates once */

static size_t slot_of(const void *memory)
{
    return (size_t)((uintptr_t)memory >> 4) * 2654435761u % SLOTS;
}

/* Whether this call is the one that fails. */
static bool fails(void)
{
    if (!watching || inside)
        return false;
    return __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) == failing;
}

static void *remember(void *memory)
{
    if (!watching || inside || memory == NULL)
        return memory;
    struct block block = {.memory = memory, .call = __atomic_load_n(&calls, __ATOMIC_RELAXED)};
    inside = true;
    block.depth = backtrace(block.caller, DEPTH);
    inside = false;
    (void)pthread_mutex_lock(&lock);
    size_t at = slot_of(memory);
    while (blocks[at].memory != NULL && blocks[at].memory != GONE)
        at = (at + 1) % SLOTS;
    used += blocks[at].memory == NULL;
    blocks[at] = block;
    alive++;
    (void)pthread_mutex_unlock(&lock);
    if (used > SLOTS / 2)
        abort();
    return memory;
}

static void forget(void *memory)
{
    if (alive == 0 || memory == NULL)
        return;
    (void)pthread_mutex_lock(&lock);
    size_t at = slot_of(memory);
    while (blocks[at].memory != NULL && blocks[at].memory != memory)
        at = (at + 1) % SLOTS;
    if (blocks[at].memory == memory) {
        blocks[at].memory = GONE;
        alive--;
    }
    (void)pthread_mutex_unlock(&lock);
}

static void *none(void)
{
    errno = ENOMEM;
    return NULL;
}

void *no_memory_lend(size_t size)
{
    return fails() ? none() : __libc_malloc(size);
}

void *no_memory_lend_more(void *memory, size_t size)
{
    return fails() ? none() : __libc_realloc(memory, size);
}

void *malloc(size_t size)
{
    return fails() ? none() : remember(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return fails() ? none() : remember(__libc_calloc(count, size));
}

void *realloc(void *memory, size_t size)
{
    if (fails())
        return none();
    forget(memory);
    return remember(__libc_realloc(memory, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? none() : remember(__libc_memalign(alignment, size));
}

void *memalign(size_t alignment, size_t size)
{
    return aligned_alloc(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
    void *memory = aligned_alloc(alignment, size);
    if (memory == NULL)
        return ENOMEM;
    *ret = memory;
    return 0;
}

void free(void *memory)
{
    forget(memory);
    __libc_free(memory);
}

void no_memory_watch(size_t which)
{
    void *warm[1];
    (void)backtrace(warm, 1);
    memset(blocks, 0, sizeof blocks);
    calls = used = alive = 0;
    failing = which;
    watching = true;
}

size_t no_memory_end(void)
{
    watching = false;
    return calls;
}

size_t no_memory_left(void)
{
    return alive;
}

void no_memory_show(void)
{
    const struct block *first = NULL;
    for (size_t i = 0; i < SLOTS; i++)
        if (blocks[i].memory != NULL && blocks[i].memory != GONE && (first == NULL || blocks[i].call < first->call))
            first = &blocks[i];
    if (first != NULL)
        backtrace_symbols_fd(first->caller, first->depth, STDERR_FILENO);
}
