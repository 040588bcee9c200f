/* Work that an accelerator takes in one piece, and every table as it always did: products whose results are read later, and gates of which only
 * sums are wanted. */
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

/* An accelerator's part of this file. The gates answer whether they were done; where they were not, nothing was written. */
struct kern_accelerated {
    void (*hold)(void);
    void (*settle)(void);
    bool (*grid_sums)(const struct kern_gate_keys *gate, const uint64_t *table, int s, uint64_t *out);
    bool (*segment_sums)(const struct kern_gate_keys *gate, const uint64_t *c, int s, uint64_t *out);
};

/* Results of products between the two may arrive as late as in kern_settle: nothing may read them before, no product there may read what another
 * one gives, and w may not change. Other slots may be called. Holds do not nest; they are the
 * calling thread's. Nothing for a CPU's table. */
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

/* Work area of a gate on the CPU: full evaluations of `batch` keys, [batch][groups][2^domain_bits], and dpf_full's scratch. It holds shares
 * afterwards. */
struct kern_gate_room {
    size_t batch;
    uint64_t *hot;
    void *scratch;
};

/* grid_dot of each group of each key at its m: out [count][groups]; table [2^(h + s)], h the keys' domain_bits. */
void kern_grid_sums(const struct kern_table *t, const struct kern_gate_keys *gate, const uint64_t *table, int s, uint64_t *out,
                    const struct kern_gate_room *room);
/* segment_dot of each key, whose groups are 3 triples over 2^h cells: out [count][triples]. c: three runs of 2^(h + 1) coefficients, of which a key
 * reads the 2^h from 2^h - (m >> s) on, at j = m mod 2^s. */
void kern_segment_sums(const struct kern_table *t, const struct kern_gate_keys *gate, const uint64_t *c, int s, uint64_t *out,
                       const struct kern_gate_room *room);

#endif
