/* A bump allocator for the arrays of one computation: reserved once, released to a mark, given back whole.
 *
 * Address space is reserved up front and pages are touched on use, so that a step of a decoder allocates nothing from
 * the system after its first pass. Released pages that are given back are zero when they return (the kernel clears
 * them), which is how shares and masks are wiped. Not for concurrent use. */
#ifndef CACHET_BASE_ARENA_H
#define CACHET_BASE_ARENA_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct base_arena {
    unsigned char *memory;
    size_t capacity;
    size_t used;
    size_t peak;
};

/* Reserves `capacity` bytes of address space (rounded up to pages). Errors: BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status base_arena_init(struct base_arena *arena, size_t capacity, struct base_error *error);
/* Gives everything back; accepts a zeroed arena. */
void base_arena_finish(struct base_arena *arena);

/* `size` bytes, 64-byte aligned, contents undefined; NULL when the reservation is used up. */
void *base_arena_take(struct base_arena *arena, size_t size);

/* A position to release to. */
static inline size_t base_arena_mark(const struct base_arena *arena)
{
    return arena->used;
}
void base_arena_release(struct base_arena *arena, size_t mark);

/* Gives the pages above the mark back to the system, which wipes them. */
void base_arena_trim(struct base_arena *arena);

#endif
