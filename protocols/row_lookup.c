#include "protocols/row_lookup.h"

#include "mpc/maker.h"

#include <string.h>

size_t sec_row_table_stride(enum mpc_role role, size_t width)
{
    return role == MPC_COUNT ? 0 : role == MPC_LEFT || role == MPC_RIGHT ? 2 * width : width;
}

struct mpc_cost sec_row_lookup_cost(size_t n, size_t width)
{
    return mpc_cut_cost(n * width, SEC_ROW_RING, 0, false);
}

/* Two parties ahead of time: own masks of the one-hot rows and of the table, whose rows are the columns of the product. */
static void note(struct mpc_party *p, struct mpc_wire hot, size_t n, const struct sec_row_table *table)
{
    size_t mark = base_arena_mark(&p->arena);
    uint64_t *masks = p->role == MPC_COUNT ? NULL : mpc_words(p, table->width * table->rows);
    for (size_t r = 0; masks != NULL && r < table->rows; r++)
        for (size_t i = 0; i < table->width; i++) {
            const uint32_t *row = table->data + r * table->stride;
            masks[i * table->rows + r] = table->held == MPC_LEFT ? row[table->width + i] : table->held == MPC_RIGHT ? row[i] - row[table->width + i] : row[i];
        }
    mpc_note_product(p, (struct mpc_product_form){.heads = 1, .rows = n, .outs = table->width, .inner = table->rows, .ring = SEC_ROW_RING,
                                                  .which = {.lasting = MPC_WEIGHTS, .of = table}}, hot.l1, masks);
    base_arena_release(&p->arena, mark);
}

struct mpc_share sec_row_lookup_share(struct mpc_party *p, struct mpc_wire hot, size_t n, const struct sec_row_table *table,
                                      const char *label)
{
    if (!mpc_failed(p) && (hot.ring < SEC_ROW_RING || hot.count != n * table->rows || hot.gate_only))
        mpc_fail(p, BASE_ERR_INTERNAL, "%s: %zu one-hot elements of %d bits do not read %zu rows of a table of %zu", label, hot.count, hot.ring,
                 n, table->rows);
    struct mpc_share out = mpc_share_make(p, n * table->width, SEC_ROW_RING, hot.frac + table->frac);
    if (mpc_notes(p) && !mpc_failed(p))
        note(p, hot, n, table);
    if (!mpc_failed(p) && !mpc_shares_nothing(p)) {
        bool both = mpc_computes(p), left = p->role == MPC_LEFT;
        /* Both halves of a row are rows of their own, with a factor each. */
        size_t halves = both ? 2 : 1, count = halves * table->rows;
        uint32_t *sum = mpc_bytes(p, n * table->width * sizeof *sum), *factor = mpc_bytes(p, n * count * sizeof *factor);
        const uint64_t *first = p->role == MPC_CLEAR ? hot.x : p->role == MPC_HELPER ? mpc_mask(p, &hot) : left ? hot.l1 : hot.l2;
        if (mpc_failed(p))
            return out;
        memset(sum, 0, n * table->width * sizeof *sum);
        for (size_t i = 0; i < n * table->rows; i++) {
            /* P1: -(l1 m' + m l1'), P2: -(l2 m') + m (m' - l2'), primes for the table. */
            uint32_t a = (uint32_t)first[i];
            factor[halves * i] = both ? 0 - a : a;
            if (both)
                factor[halves * i + 1] = left ? 0 - (uint32_t)hot.m[i] : (uint32_t)hot.m[i];
        }
        p->kern->combine32(sum, factor, count, n, table->data, table->width, count);
        for (size_t i = 0; i < n * table->width; i++)
            out.z[i] = p->role == MPC_CLEAR ? (uint64_t)(int64_t)(int32_t)sum[i] : sum[i];
        if (mpc_reads_made(p))
            mpc_add_made(p, out.z, n * table->width, SEC_ROW_RING);
    }
    return out;
}

struct mpc_wire sec_row_lookup(struct mpc_party *p, struct mpc_wire hot, size_t n, const struct sec_row_table *table,
                               const char *label)
{
    struct mpc_share out = sec_row_lookup_share(p, hot, n, table, label);
    return mpc_cut(p, out, SEC_ROW_RING, 0, table->bound, false, label);
}

struct mpc_share sec_row_table_share(struct mpc_party *p, const struct sec_row_table *table, size_t first, size_t n)
{
    if (!mpc_failed(p) && p->role != MPC_COUNT && (first > table->rows || n > table->rows - first))
        mpc_fail(p, BASE_ERR_INTERNAL, "rows %zu to %zu of a table of %zu", first, first + n, table->rows);
    struct mpc_share out = mpc_share_make(p, n * table->width, SEC_ROW_RING, table->frac);
    for (size_t r = 0; out.z != NULL && !mpc_failed(p) && r < n; r++) {
        const uint32_t *row = table->data + (first + r) * table->stride, *second = row + table->width;
        uint64_t *z = out.z + r * table->width;
        for (size_t i = 0; i < table->width; i++)
            z[i] = p->role == MPC_CLEAR    ? (uint64_t)(int64_t)(int32_t)row[i]
                   : mpc_reads_made(p)     ? (uint32_t)(p->role == MPC_LEFT ? 0 - second[i] : second[i])
                   : p->role == MPC_HELPER ? (uint32_t)(0 - row[i])
                   : p->role == MPC_RIGHT  ? row[i]
                                           : 0;
    }
    return out;
}
