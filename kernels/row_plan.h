/* How a product with a single row streams w, which is bound by memory.
 *
 * Strictly sequential reading is best while the activations stay in the level-one cache beside the stream. Longer rows
 * push them out, and then it pays to share each activation among four rows of w. The hardware's own prefetching reaches half of
 * the memory's bandwidth: software fetches far ahead (measured: eight KiB of one stream, two of each of four), in the order in
 * which it will be read: after the end of a row comes the row that the stream goes on with. */
#ifndef CACHET_KERNELS_ROW_PLAN_H
#define CACHET_KERNELS_ROW_PLAN_H

#include "kernels/kern.h"

enum { KERN_ROW_ACTIVATION_BYTES = 16 << 10, KERN_ROW_AHEAD_ALONE = 8 << 10, KERN_ROW_AHEAD = 2 << 10 /* bytes */ };

struct kern_row_plan {
    size_t units;      /* whole vectors of a row */
    size_t near;       /* units whose prefetch stays in this row */
    size_t ahead;      /* their distance, in bytes of w */
    size_t ahead_next; /* distance of the others, which fetch the start of the stream's next row */
};

/* unit: elements of a vector, unit_bytes: what they take in w. */
static inline struct kern_row_plan kern_row_plan(size_t inner, size_t unit, size_t unit_bytes, size_t w_stride, size_t outs)
{
    size_t ahead = outs == 1 ? KERN_ROW_AHEAD_ALONE : KERN_ROW_AHEAD, reach = ahead / unit_bytes;
    struct kern_row_plan plan = {.units = inner / unit, .ahead = ahead};
    plan.near = plan.units > reach ? plan.units - reach : 0;
    plan.ahead_next = ahead + outs * w_stride - plan.units * unit_bytes;
    return plan;
}

static inline int kern_row_is_short(size_t activation_bytes)
{
    return activation_bytes <= KERN_ROW_ACTIVATION_BYTES;
}

/* A prefetch past the end of w is harmless, so the address is not made as a pointer into it. */
static inline void kern_row_prefetch(const uint8_t *from, size_t ahead)
{
    __builtin_prefetch((const void *)((uintptr_t)from + ahead), 0, 3);
}

#endif
