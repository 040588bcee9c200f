/* Memory: overflow-checked sizes, zeroed arrays, and buffers for secrets that are wiped when freed. */
#ifndef CACHET_BASE_MEMORY_H
#define CACHET_BASE_MEMORY_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* a + b and a * b; false on overflow, *ret untouched then. */
static inline bool base_size_add(size_t a, size_t b, size_t *ret)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *ret = sum;
    return true;
}

static inline bool base_size_mul(size_t a, size_t b, size_t *ret)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *ret = product;
    return true;
}

/* A zeroed array of `count` items of `size` bytes, 64-byte aligned. *ret is a void ** in disguise: pass &pointer.
 * Errors: BASE_ERR_MEMORY when count * size overflows or the allocation fails. Free with base_free. */
BASE_MUST_USE enum base_status base_alloc(void *ret, size_t count, size_t size, struct base_error *error);

/* Room for `wanted` items in an array that grows: *array has *room of them, and gets twice as many until it is enough, zeroed. What was there moves,
 * and where it was is wiped. Pass &pointer, NULL at first. Errors: those of base_alloc; the array is then as it was. */
BASE_MUST_USE enum base_status base_grow(void *array, size_t *room, size_t wanted, size_t size, struct base_error *error);

/* Frees *pointer and sets it to NULL; accepts a pointer to NULL. Pass &pointer. */
void base_free(void *pointer);

/* base_free for an array that held shares, masks, seeds or prompts: wipes the whole allocation first. */
void base_free_secret(void *pointer);

/* Overwrites memory in a way that the compiler keeps. */
void base_wipe(void *memory, size_t size);

/* Small secrets (keys, seeds): guarded pages through libsodium, zeroed, 64-byte aligned, in no core dump, empty in a forked child, and locked as far as
 * the limit of locked memory goes: beyond it they may be swapped out. Free with base_free_locked(&pointer). Errors: BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status base_alloc_locked(void *ret, size_t size, struct base_error *error);
void base_free_locked(void *pointer);

/* Gives free pages of the heap back to the system. The allocator keeps the most that was ever in use, scattered over its arenas; what waits a long time
 * calls this before. */
void base_memory_give_back(void);

/* Little-endian loads and stores at any alignment. */
uint16_t base_load_u16(const void *bytes);
uint32_t base_load_u32(const void *bytes);
uint64_t base_load_u64(const void *bytes);
void base_store_u16(void *bytes, uint16_t value);
void base_store_u32(void *bytes, uint32_t value);
void base_store_u64(void *bytes, uint64_t value);

#endif
