#include "protocols/table.h"

#include "kernels/gather.h"

enum { CHUNK = 512, BATCH = 4 };

static struct kern_dpf_shape shape_of(const struct sec_table *table)
{
    return (struct kern_dpf_shape){.domain_bits = table->k, .groups = 1, .rings = {table->ring},
                                   .nu = kern_dpf_choose_nu(table->k, table->ring)};
}

static bool by_dpf(const struct sec_table *table)
{
    return table->k > SEC_TABLE_DEALT_BITS;
}

struct mpc_cost sec_table_cost(const struct sec_table *table, size_t n)
{
    struct kern_dpf_shape shape = shape_of(table);
    struct mpc_cost cost = mpc_open_share_cost(n, table->ring, 0);
    cost.offline = by_dpf(table) ? 2 * sec_dpf_size(&shape, n) : mpc_bits(n << table->k, table->ring);
    return cost;
}

/* --- the rotated table ----------------------------------------------------------------------------------------------------------- */

static void deal_rotated(struct mpc_party *p, const struct sec_table *table, const uint64_t *mask, size_t n)
{
    size_t entries = (size_t)1 << table->k;
    uint64_t *rotated = mpc_words(p, n * entries);
    if (rotated == NULL)
        return;
    /* Every entry is written for every mask: the place of a secret never becomes an address. */
    for (size_t i = 0; i < n; i++)
        for (size_t at = 0; at < entries; at++) {
            uint64_t value = 0, from = (at - mask[i]) & (entries - 1);
            for (size_t j = 0; j < entries; j++)
                value |= table->values[j] & (0 - (((from ^ j) - 1) >> 63));
            rotated[i * entries + at] = value;
        }
    mpc_deal(p, n * entries, table->ring, rotated);
}

static uint64_t *read_rotated(struct mpc_party *p, const struct sec_table *table, const uint64_t *m, size_t n)
{
    const uint64_t *rotated = mpc_deal(p, n << table->k, table->ring, NULL);
    uint64_t *share = mpc_words(p, n);
    for (size_t i = 0; !mpc_failed(p) && i < n; i++)
        share[i] = rotated[(i << table->k) + m[i]];
    return share;
}

/* --- the one-hot row --------------------------------------------------------------------------------------------------------------- */

static void deal_hot(struct mpc_party *p, const struct sec_table *table, const uint64_t *mask, size_t n)
{
    struct kern_dpf_shape shape = shape_of(table);
    uint8_t *root1, *root2;
    sec_roots(p, n, &root1, &root2);
    uint64_t *one = mpc_words(p, CHUNK);
    for (size_t i = 0; one != NULL && i < CHUNK; i++)
        one[i] = 1;
    for (size_t at = 0; at < n && !mpc_failed(p); at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK, mark = base_arena_mark(&p->arena);
        sec_dpf_deal(p, &shape, count, mask + at, one, root1 + 16 * at, root2 + 16 * at);
        base_arena_release(&p->arena, mark);
    }
}

static uint64_t *read_hot(struct mpc_party *p, const struct sec_table *table, const uint64_t *m, size_t n)
{
    struct kern_dpf_shape shape = shape_of(table);
    uint8_t *root1, *root2;
    sec_roots(p, n, &root1, &root2);
    const uint8_t *root = p->role == MPC_LEFT ? root1 : root2;
    size_t entries = (size_t)1 << table->k;
    uint64_t *share = mpc_words(p, n), *hot = mpc_words(p, BATCH * entries);
    void *scratch = mpc_bytes(p, kern_dpf_scratch(&shape));
    kern_hold(p->kern); /* all chunks are waited for together */
    for (size_t at = 0; at < n && !mpc_failed(p); at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK, mark = base_arena_mark(&p->arena);
        struct kern_dpf_keys keys;
        if (!sec_dpf_receive(p, &shape, count, &keys))
            break;
        kern_grid_sums(p->kern, &(struct kern_gate_keys){&keys, sec_side(p), root + 16 * at, 0, count, m + at}, table->values, 0, share + at,
                       &(struct kern_gate_room){BATCH, hot, scratch});
        base_arena_release(&p->arena, mark);
    }
    kern_settle(p->kern);
    return share;
}

static uint64_t *clear(struct mpc_party *p, const struct sec_table *table, const uint64_t *x, size_t n)
{
    uint64_t *y = mpc_words(p, n);
    mpc_check_range(p, "table index", x, n, 0, (INT64_C(1) << table->k) - 1);
    for (size_t i = 0; y != NULL && i < n; i++)
        y[i] = table->values[x[i] & kern_ring_mask(table->k)];
    return y;
}

struct mpc_wire sec_table_eval(struct mpc_party *p, const struct sec_table *table, struct mpc_wire x, const char *label)
{
    if (!mpc_failed(p) && (table->k < 1 || table->k > SEC_TABLE_MAX_BITS))
        mpc_fail(p, BASE_ERR_RANGE, "%s: a table of %d bits: 1 to %d are supported", label, table->k, SEC_TABLE_MAX_BITS);
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    sec_declare_dealt(p, sec_table_cost(table, x.count));
    const uint64_t *share = NULL;
    if (p->role == MPC_HELPER) {
        const uint64_t *mask = sec_read_mask(p, x, table->k);
        if (by_dpf(table))
            deal_hot(p, table, mask, x.count);
        else
            deal_rotated(p, table, mask, x.count);
    } else if (p->role == MPC_CLEAR) {
        share = clear(p, table, x.x, x.count);
    } else if (mpc_computes(p)) {
        const uint64_t *m = sec_read_open(p, x, table->k, 0);
        share = by_dpf(table) ? read_hot(p, table, m, x.count) : read_rotated(p, table, m, x.count);
    }
    return mpc_open_share(p, share, x.count, (struct mpc_opening_form){.ring = table->ring, .frac = table->frac, .bound = table->bound,
                                                                       .ulp = -1, .label = label});
}

/* --- conformance: a cubic of 5 and of 9 bits ------------------------------------------------------------------------------------------ */

enum { STANDARD_DEALT = 5, STANDARD_DPF = 9, STANDARD_RING = 32 };

static uint64_t cubic(uint64_t i, int k)
{
    int64_t x = (int64_t)i - (INT64_C(1) << (k - 1));
    return (uint64_t)(x * x * x);
}

static enum base_status run_standard(struct mpc_party *p, int k, struct mpc_wire x, struct mpc_wire *ret)
{
    uint64_t *values = mpc_words(p, (size_t)1 << k);
    for (size_t i = 0; values != NULL && i < (size_t)1 << k; i++)
        values[i] = cubic(i, k);
    struct sec_table table = {.k = k, .ring = STANDARD_RING, .bound = 24, .values = values};
    *ret = sec_table_eval(p, &table, x, "table");
    return mpc_round(p);
}

static enum base_status run_dealt(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    return run_standard(p, STANDARD_DEALT, x, ret);
}

static enum base_status run_dpf(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    return run_standard(p, STANDARD_DPF, x, ret);
}

static void sample_dealt(int64_t *ret_x, size_t count, uint64_t seed)
{
    sec_sample_below(ret_x, count, seed, 1 << STANDARD_DEALT);
}

static void sample_dpf(int64_t *ret_x, size_t count, uint64_t seed)
{
    sec_sample_below(ret_x, count, seed, 1 << STANDARD_DPF);
}

static struct mpc_cost cost_standard(int k, size_t count)
{
    struct mpc_cost cost = sec_table_cost(&(struct sec_table){.k = k, .ring = STANDARD_RING}, count);
    cost.rounds = 1;
    return cost;
}

static struct mpc_cost cost_dealt(size_t count)
{
    return cost_standard(STANDARD_DEALT, count);
}

static struct mpc_cost cost_dpf(size_t count)
{
    return cost_standard(STANDARD_DPF, count);
}

const struct sec_gate sec_gate_table_dealt = {.name = "table-dealt", .source = "specification, tables.py: TableSmall", .input_ring = 20,
                                              .input_frac = 0, .input_bound = STANDARD_DEALT, .unit = 1, .sample = sample_dealt,
                                              .run = run_dealt, .cost = cost_dealt};
const struct sec_gate sec_gate_table_dpf = {.name = "table-dpf", .source = "specification, tables.py: TableDpf", .input_ring = 30,
                                            .input_frac = 0, .input_bound = STANDARD_DPF, .unit = 1, .sample = sample_dpf,
                                            .run = run_dpf, .cost = cost_dpf};
