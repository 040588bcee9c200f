/* Work that an accelerator takes in one piece, and every table as it always did: work whose results are read later, gates of which only sums are
 * wanted, and what it may do while its party waits for the network. */
#ifndef CACHET_KERNELS_GATHER_H
#define CACHET_KERNELS_GATHER_H

#include "kernels/kern.h"

#include <stdbool.h>

/* DPF keys [first, first + count) of `keys` at one side, and the public m[i] of key first + i. root: [n][16] of all keys. */
struct kern_gate_keys {
    const struct kern_dpf_keys *keys;
    int side;
    const uint8_t *root;
    size_t first, count;
    const uint64_t *m;
};

/* Work area of a gate on the CPU: full evaluations of `batch` keys, [batch][groups][2^domain_bits], and dpf_full's scratch. It holds shares
 * afterwards. */
struct kern_gate_room {
    size_t batch;
    uint64_t *hot;
    void *scratch;
};

/* An accelerator's part of this file. Those that answer say whether they did it, or started it; where they did not, nothing was written. */
struct kern_accelerated {
    void (*hold)(void);
    void (*settle)(void);
    void (*bring)(void);
    bool (*grid_sums)(const struct kern_gate_keys *gate, const uint64_t *table, int s, uint64_t *out, const struct kern_gate_room *room);
    bool (*segment_sums)(const struct kern_gate_keys *gate, const uint64_t *c, int s, uint64_t *out, const struct kern_gate_room *room);
    bool (*dcf_later)(const struct kern_dcf_keys *keys, int side, const uint8_t *root, const uint64_t *x, size_t points, uint64_t *out);
    bool (*words_later)(const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring);
    bool (*pack_later)(uint8_t *out, const uint64_t *in, size_t count, int ring);
    bool (*unpack_add_later)(uint64_t *out, const uint8_t *in, size_t count, int ring);
};

/* Between the two, results of products and of the functions below may arrive as late as in kern_settle: nothing may read them before, no call there may
 * read what another one gives, and w, tables and a gate's room stay as they are; other inputs may go at once. Other slots may be called: they wait for
 * what is under way as for their own. kern_settle waits, if anything was started since its kern_hold, for
 * everything. Holds nest, and are the calling thread's. Nothing for a CPU's table. */
static inline void kern_hold(const struct kern_table *table)
{
    if (table->more != NULL)
        table->more->hold();
}

static inline void kern_settle(const struct kern_table *table)
{
    if (table->more != NULL)
        table->more->settle();
}

/* Before a party waits for others: what has changed of placed matrices is brought to the device meanwhile. Nothing is waited for. */
static inline void kern_bring(const struct kern_table *table)
{
    if (table->more != NULL)
        table->more->bring();
}

/* Slots whose results may arrive late, as above. Keystreams are made beside everything else that is under way. */
static inline void kern_dcf_later(const struct kern_table *t, const struct kern_dcf_keys *keys, int side, const uint8_t *root, const uint64_t *x, size_t points,
                                  uint64_t *out)
{
    if (t->more == NULL || !t->more->dcf_later(keys, side, root, x, points, out))
        t->dcf_eval(keys, side, root, x, points, out);
}

static inline void kern_words_later(const struct kern_table *t, const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring)
{
    if (t->more == NULL || !t->more->words_later(key, counter, out, count, ring))
        t->prg_words(key, counter, out, count, ring);
}

static inline void kern_pack_later(const struct kern_table *t, uint8_t *out, const uint64_t *in, size_t count, int ring)
{
    if (t->more == NULL || !t->more->pack_later(out, in, count, ring))
        t->pack_bits(out, in, count, ring);
}

static inline void kern_unpack_add_later(const struct kern_table *t, uint64_t *out, const uint8_t *in, size_t count, int ring)
{
    if (t->more == NULL || !t->more->unpack_add_later(out, in, count, ring))
        t->unpack_add(out, in, count, ring);
}

/* grid_dot of each group of each key at its m: out [count][groups]; table [2^(h + s)], h the keys' domain_bits. */
void kern_grid_sums(const struct kern_table *t, const struct kern_gate_keys *gate, const uint64_t *table, int s, uint64_t *out,
                    const struct kern_gate_room *room);
/* segment_dot of each key, whose groups are 3 triples over 2^h cells: out [count][triples]. c: three runs of 2^(h + 1) coefficients, of which a key
 * reads the 2^h from 2^h - (m >> s) on, at j = m mod 2^s. */
void kern_segment_sums(const struct kern_table *t, const struct kern_gate_keys *gate, const uint64_t *c, int s, uint64_t *out,
                       const struct kern_gate_room *room);

#endif
