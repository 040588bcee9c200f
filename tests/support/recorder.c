#include "tests/support/recorder.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct kern_table *table_under;
static struct recorder_draw *draws, changed;
static size_t count, *slots, slot_count; /* slots: open addressing, index + 1 of a draw */
static uint64_t changed_by;
static bool changing, changing_xor;
static char breach[160];

static size_t hash(const uint8_t key[16], uint64_t counter)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (int i = 0; i < 24; i++)
        h = (h ^ (i < 16 ? key[i] : (uint8_t)(counter >> 8 * (i - 16)))) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ h >> 29);
}

static bool same_name(const struct recorder_draw *draw, const uint8_t key[16], uint64_t counter)
{
    return draw->counter == counter && memcmp(draw->key, key, 16) == 0;
}

/* Where the draw's number stands or belongs. */
static size_t *find(const uint8_t key[16], uint64_t counter)
{
    size_t at = hash(key, counter) & (slot_count - 1);
    while (slots[at] != 0 && !same_name(&draws[slots[at] - 1], key, counter))
        at = (at + 1) & (slot_count - 1);
    return &slots[at];
}

static void grow(void)
{
    if (2 * count < slot_count)
        return;
    slot_count = slot_count == 0 ? 1024 : 2 * slot_count;
    free(slots);
    slots = calloc(slot_count, sizeof *slots);
    draws = realloc(draws, slot_count * sizeof *draws);
    if (slots == NULL || draws == NULL)
        abort();
    for (size_t i = 0; i < count; i++)
        *find(draws[i].key, draws[i].counter) = i + 1;
}

static void report(const char *what, const struct recorder_draw *draw)
{
    if (breach[0] == '\0')
        (void)snprintf(breach, sizeof breach, "%s: draw %llu of the stream %02x%02x..., %zu of %d bits", what, (unsigned long long)draw->counter,
                       draw->key[0], draw->key[1], draw->count, draw->ring);
}

static void record(const struct kern_aes_key *holder, uint64_t counter, size_t size, int ring)
{
    uint8_t key[16];
    memcpy(key, holder->round[0], sizeof key);
    (void)pthread_mutex_lock(&lock);
    grow();
    size_t *slot = find(key, counter);
    if (*slot == 0) {
        draws[count] = (struct recorder_draw){.counter = counter, .ring = ring, .count = size};
        memcpy(draws[count].key, key, sizeof key);
        *slot = ++count;
    }
    struct recorder_draw *draw = &draws[*slot - 1];
    if (draw->ring != ring || draw->count != size)
        report("holders draw different shapes", draw);
    int holders = 0;
    while (holders < RECORDER_HOLDERS && draw->holder[holders] != NULL && draw->holder[holders] != holder)
        holders++;
    if (holders == RECORDER_HOLDERS)
        report("more holders than a stream has", draw);
    else if (draw->holder[holders] == holder)
        report("drawn twice", draw);
    else
        draw->holder[holders] = holder;
    (void)pthread_mutex_unlock(&lock);
}

static void prg_words(const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t size, int ring)
{
    record(key, counter, size, ring);
    table_under->prg_words(key, counter, out, size, ring);
    if (changing && same_name(&changed, (const uint8_t *)key->round[0], counter))
        for (size_t i = 0; i < size; i++)
            out[i] = (changing_xor ? out[i] ^ changed_by : out[i] + changed_by) & kern_ring_mask(ring);
}

static void prg_fill(const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out, size_t bytes)
{
    record(key, counter, bytes, 0);
    table_under->prg_fill(key, counter, first_block, out, bytes);
    if (changing && same_name(&changed, (const uint8_t *)key->round[0], counter))
        for (size_t i = 0; i < bytes; i++)
            out[i] ^= (uint8_t)(changed_by >> 8 * (i % 8));
}

const struct kern_table *recorder_start(const struct kern_table *under)
{
    static struct kern_table table;
    table = *under;
    table.prg_words = prg_words;
    table.prg_fill = prg_fill;
    table_under = under;
    count = 0;
    breach[0] = '\0';
    changing = false;
    if (slots != NULL)
        memset(slots, 0, slot_count * sizeof *slots);
    return &table;
}

size_t recorder_count(void)
{
    return count;
}

struct recorder_draw recorder_at(size_t i)
{
    return draws[i];
}

const char *recorder_breach(void)
{
    return breach[0] == '\0' ? NULL : breach;
}

int recorder_says(void)
{
    (void)printf("%zu draws, %s\n", count, breach[0] == '\0' ? "0 repeated" : breach);
    return breach[0] == '\0' ? 0 : 1;
}

void recorder_change(const struct recorder_draw *draw, uint64_t delta, bool by_xor)
{
    changing_xor = by_xor;
    changing = draw != NULL;
    changed_by = delta;
    if (draw != NULL)
        changed = *draw;
}
