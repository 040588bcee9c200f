/* One level of both parties' trees along the special path, for a batch of keys: shared by all key generators. */
#ifndef CACHET_KERNELS_FSS_GENERATE_H
#define CACHET_KERNELS_FSS_GENERATE_H

#include "kernels/fss/core.h"

enum { KERN_FSS_BATCH = 64 };

/* Nodes of party 0 and 1 on the path to alpha. They are equal off the path and independent on it. */
struct kern_fss_pair {
    struct kern_block node[2][KERN_FSS_BATCH];
    struct kern_block children[2][2 * KERN_FSS_BATCH];
};

/* Where a batch writes its correction words. */
struct kern_fss_trail {
    int bits;                 /* of the domain: level i looks at bit bits - 1 - i of alpha */
    int levels;               /* of a key */
    const uint64_t *alpha;    /* [count] */
    uint8_t *seed_words;      /* [count][levels][16] */
    uint8_t *bit_words;       /* [count][ceil(2 levels / 8)], zeroed by kern_fss_pair_start */
};

void kern_fss_pair_start(struct kern_fss_pair *pair, const struct kern_fss_trail *trail, const uint8_t *root0,
                         const uint8_t *root1, size_t count);
void kern_fss_pair_advance(const struct kern_fss_core *core, struct kern_fss_pair *pair,
                           const struct kern_fss_trail *trail, int level, size_t count);

#endif
