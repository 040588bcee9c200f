#include "base/memory.h"

#include <malloc.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Each allocation starts with a header that remembers its size, so that a secret array can be wiped whole without
 * every caller carrying its length around. */
enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20 };

/* Large arrays are read from end to end once a token, and small pages cost translations: huge ones are asked for, and where the system has
 * none nothing changes. */
static void *take_pages(size_t total)
{
    if (total < 2 * (size_t)HUGE_PAGE)
        return aligned_alloc(ALIGNMENT, total);
    void *block = aligned_alloc(HUGE_PAGE, (total + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
    if (block != NULL)
        (void)madvise(block, total, MADV_HUGEPAGE);
    return block;
}

enum base_status base_alloc(void *ret, size_t count, size_t size, struct base_error *error)
{
    size_t bytes, total;
    if (!base_size_mul(count, size, &bytes) || !base_size_add(bytes, 2 * ALIGNMENT, &total))
        return base_fail(error, BASE_ERR_MEMORY, "an array of %zu items of %zu bytes is larger than memory", count, size);
    total -= total % ALIGNMENT;
    unsigned char *block = take_pages(total);
    if (block == NULL)
        return base_fail(error, BASE_ERR_MEMORY, "cannot allocate %zu bytes: free memory or use a smaller model or context",
                         bytes);
    memset(block, 0, total);
    memcpy(block, &total, sizeof total);
    void *payload = block + ALIGNMENT;
    memcpy(ret, &payload, sizeof payload);
    return BASE_OK;
}

enum base_status base_grow(void *array, size_t *room, size_t wanted, size_t size, struct base_error *error)
{
    enum { FIRST_ROOM = 16 };
    size_t larger = *room == 0 ? FIRST_ROOM : *room;
    void *grown = NULL, *old;
    if (wanted <= *room)
        return BASE_OK;
    while (larger < wanted)
        if (!base_size_mul(larger, 2, &larger))
            return base_fail(error, BASE_ERR_MEMORY, "an array of %zu items is larger than memory", wanted);
    enum base_status status = base_alloc(&grown, larger, size, error);
    if (status != BASE_OK)
        return status;
    memcpy(&old, array, sizeof old);
    if (*room > 0)
        memcpy(grown, old, *room * size);
    base_free_secret(array);
    memcpy(array, &grown, sizeof grown);
    *room = larger;
    return BASE_OK;
}

static unsigned char *take_block(void *pointer)
{
    void *payload, *nothing = NULL;
    memcpy(&payload, pointer, sizeof payload);
    memcpy(pointer, &nothing, sizeof nothing);
    return payload == NULL ? NULL : (unsigned char *)payload - ALIGNMENT;
}

void base_free(void *pointer)
{
    free(take_block(pointer));
}

void base_free_secret(void *pointer)
{
    unsigned char *block = take_block(pointer);
    if (block == NULL)
        return;
    size_t total;
    memcpy(&total, block, sizeof total);
    sodium_memzero(block, total);
    free(block);
}

void base_wipe(void *memory, size_t size)
{
    sodium_memzero(memory, size);
}

/* Before what base_alloc_locked gives out: where it reads 0, a fork has emptied the block, libsodium's own marks too, which it would miss when it frees. */
static const unsigned char present = 1;

/* The pages of a block are its own. A system that cannot empty them in a child leaves that to base/fork.h. */
static void empty_in_children(unsigned char *block, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)block / page * page;
    (void)madvise(block - ((uintptr_t)block - first), (uintptr_t)block + size - first, MADV_WIPEONFORK);
}

enum base_status base_alloc_locked(void *ret, size_t size, struct base_error *error)
{
    size_t total = 0;
    if (sodium_init() < 0)
        return base_fail(error, BASE_ERR_INTERNAL, "libsodium cannot start");
    /* libsodium's blocks end with a page: a whole number of alignments begins at one. */
    bool fits = base_size_add(size, 2 * ALIGNMENT - 1, &total);
    total -= total % ALIGNMENT;
    unsigned char *block = fits ? sodium_malloc(total) : NULL;
    if (block == NULL)
        return base_fail(error, BASE_ERR_MEMORY, "cannot lock %zu bytes for a key: raise the limit of locked memory (ulimit -l)",
                         size);
    empty_in_children(block, total);
    memset(block, 0, total);
    *block = present;
    void *memory = block + ALIGNMENT;
    memcpy(ret, &memory, sizeof memory);
    return BASE_OK;
}

void base_free_locked(void *pointer)
{
    unsigned char *block = take_block(pointer);
    if (block != NULL && *block == present)
        sodium_free(block);
}

void base_memory_give_back(void)
{
    (void)malloc_trim(0);
}

uint16_t base_load_u16(const void *bytes)
{
    const unsigned char *b = bytes;
    return (uint16_t)(b[0] | b[1] << 8);
}

uint32_t base_load_u32(const void *bytes)
{
    const unsigned char *b = bytes;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

uint64_t base_load_u64(const void *bytes)
{
    const unsigned char *b = bytes;
    return base_load_u32(b) | (uint64_t)base_load_u32(b + 4) << 32;
}

void base_store_u16(void *bytes, uint16_t value)
{
    unsigned char *b = bytes;
    b[0] = (unsigned char)value;
    b[1] = (unsigned char)(value >> 8);
}

void base_store_u32(void *bytes, uint32_t value)
{
    unsigned char *b = bytes;
    for (int i = 0; i < 4; i++)
        b[i] = (unsigned char)(value >> 8 * i);
}

void base_store_u64(void *bytes, uint64_t value)
{
    base_store_u32(bytes, (uint32_t)value);
    base_store_u32((unsigned char *)bytes + 4, (uint32_t)(value >> 32));
}
