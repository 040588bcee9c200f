#include "base/arena.h"

#include "base/bits.h"

#include <sys/mman.h>
#include <unistd.h>

enum { ALIGNMENT = 64 };

enum base_status base_arena_init(struct base_arena *arena, size_t capacity, struct base_error *error)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (capacity > SIZE_MAX - page)
        return base_fail(error, BASE_ERR_MEMORY, "a work area of %zu bytes is larger than memory", capacity);
    capacity = (capacity + page - 1) / page * page;
    void *memory = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return base_fail(error, BASE_ERR_MEMORY, "cannot reserve %zu bytes of address space for the work area", capacity);
    (void)madvise(memory, capacity, MADV_DONTDUMP);
    *arena = (struct base_arena){.memory = memory, .capacity = capacity};
    return BASE_OK;
}

void base_arena_finish(struct base_arena *arena)
{
    if (arena->memory != NULL)
        (void)munmap(arena->memory, arena->capacity);
    *arena = (struct base_arena){0};
}

void *base_arena_take(struct base_arena *arena, size_t size)
{
    size_t start = arena->used;
    if (size > arena->capacity - start)
        return NULL;
    size_t end = start + base_whole_units(size, ALIGNMENT);
    if (end > arena->capacity)
        end = arena->capacity;
    arena->used = end;
    if (end > arena->peak)
        arena->peak = end;
    return arena->memory + start;
}

void base_arena_release(struct base_arena *arena, size_t mark)
{
    arena->used = mark;
}

void base_arena_trim(struct base_arena *arena)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t from = (arena->used + page - 1) / page * page;
    if (from < arena->peak)
        (void)madvise(arena->memory + from, arena->capacity - from, MADV_DONTNEED);
    arena->peak = arena->used;
}
