#include "protocols/one_hot.h"

#include "base/bits.h"

#include <string.h>

/* A block of elements: whole bytes of any ring, about BLOCK_WORDS words of rows. */
enum { BLOCK_WORDS = 1 << 17, BLOCK_LEAST = 8, BATCH = 4 };

static int groups_of(struct sec_one_hot form)
{
    return form.times ? 2 : 1;
}

static struct kern_dpf_shape shape_of(struct sec_one_hot form)
{
    int groups = groups_of(form);
    return (struct kern_dpf_shape){.domain_bits = form.bits,
                                   .groups = groups,
                                   .rings = {form.ring, form.ring},
                                   .nu = kern_dpf_choose_nu(form.bits, groups * form.ring)};
}

static uint64_t table_size(struct sec_one_hot form, size_t n)
{
    return (uint64_t)groups_of(form) * mpc_bits(n << form.bits, form.ring);
}

static uint64_t keys_size(struct sec_one_hot form, size_t n)
{
    struct kern_dpf_shape shape = shape_of(form);
    return 2 * sec_dpf_size(&shape, n);
}

static bool by_table(struct sec_one_hot form)
{
    return table_size(form, BLOCK_LEAST) <= keys_size(form, BLOCK_LEAST);
}

struct mpc_cost sec_one_hot_cost(struct sec_one_hot form, size_t n)
{
    return (struct mpc_cost){.offline = by_table(form) ? table_size(form, n) : keys_size(form, n)};
}

static size_t block_of(struct sec_one_hot form)
{
    size_t block = (size_t)BLOCK_WORDS >> form.bits;
    return block < BLOCK_LEAST ? BLOCK_LEAST : block;
}

/* --- P0 --- */

/* Every entry is written for every mask: the place of a secret never becomes an address. */
static void deal_table(struct mpc_party *p, struct sec_one_hot form, const uint64_t *mask,
                       const uint64_t *times, size_t n)
{
    size_t entries = (size_t)1 << form.bits;
    uint64_t *rows = mpc_words(p, n * entries);
    for (size_t i = 0; rows != NULL && i < n; i++)
        for (size_t v = 0; v < entries; v++)
            rows[i * entries + v] = (((v ^ mask[i]) - 1) >> 63) * (times == NULL ? 1 : times[i]);
    if (rows != NULL)
        mpc_deal(p, n * entries, form.ring, rows);
}

static void deal_keys(struct mpc_party *p, struct sec_one_hot form, const uint64_t *mask,
                      const uint64_t *times, size_t n)
{
    struct kern_dpf_shape shape = shape_of(form);
    uint8_t *root1, *root2;
    sec_roots(p, n, &root1, &root2);
    uint64_t *beta = mpc_words(p, (size_t)shape.groups * n);
    for (size_t i = 0; beta != NULL && i < n; i++)
        beta[i] = 1;
    if (beta != NULL && form.times)
        memcpy(beta + n, times, n * sizeof *beta);
    sec_dpf_deal(p, &shape, n, mask, beta, root1, root2);
}

static void deal_block(struct mpc_party *p, struct sec_one_hot form, const uint64_t *mask,
                       const uint64_t *times, size_t n)
{
    if (!by_table(form)) {
        deal_keys(p, form, mask, times, n);
        return;
    }
    deal_table(p, form, mask, NULL, n);
    if (form.times)
        deal_table(p, form, mask, times, n);
}

/* --- P1, P2 --- */

/* Where rows go: [groups][2^bits] of one element, turned to begin at x = 0. */
struct reader {
    struct sec_one_hot form;
    const uint64_t *m;
    uint64_t *row;
    sec_one_hot_fn take;
    void *context;
};

/* `row` has a cell for each sum of masks below `cells`, which is the entries or a multiple of them. */
static void turn_from(const struct reader *to, size_t element, int group, const uint64_t *row, size_t cells)
{
    size_t entries = (size_t)1 << to->form.bits;
    uint64_t *out = to->row + (size_t)group * entries;
    for (size_t v = 0; v < entries; v++) {
        size_t at = (to->m[element] - v) & (entries - 1);
        out[v] = row[at];
        for (at += entries; at < cells; at += entries)
            out[v] += row[at];
    }
}

static void turn(const struct reader *to, size_t element, int group, const uint64_t *row)
{
    turn_from(to, element, group, row, (size_t)1 << to->form.bits);
}

static void read_table(struct mpc_party *p, const struct reader *to, size_t first, size_t n)
{
    size_t entries = (size_t)1 << to->form.bits;
    const uint64_t *rows[2] = {NULL, NULL};
    for (int g = 0; g < groups_of(to->form); g++)
        rows[g] = mpc_deal(p, n * entries, to->form.ring, NULL);
    for (size_t i = 0; !mpc_failed(p) && i < n; i++) {
        for (int g = 0; g < groups_of(to->form); g++)
            turn(to, first + i, g, rows[g] + i * entries);
        to->take(to->context, first + i, to->row);
    }
}

static void read_keys(struct mpc_party *p, const struct reader *to, size_t first, size_t n)
{
    struct kern_dpf_shape shape = shape_of(to->form);
    size_t entries = (size_t)1 << to->form.bits, groups = (size_t)shape.groups;
    uint8_t *root1, *root2;
    sec_roots(p, n, &root1, &root2);
    const uint8_t *root = p->role == MPC_LEFT ? root1 : root2;
    uint64_t *hot = mpc_words(p, BATCH * groups * entries);
    void *scratch = mpc_bytes(p, kern_dpf_scratch(&shape));
    struct kern_dpf_keys keys;
    if (mpc_failed(p) || !sec_dpf_receive(p, &shape, n, &keys))
        return;
    for (size_t at = 0; at < n; at += BATCH) {
        size_t batch = n - at < BATCH ? n - at : BATCH;
        p->kern->dpf_full(&keys, sec_side(p), root, at, batch, hot, scratch);
        for (size_t i = 0; i < batch; i++) {
            for (size_t g = 0; g < groups; g++)
                turn(to, first + at + i, (int)g, hot + (i * groups + g) * entries);
            to->take(to->context, first + at + i, to->row);
        }
    }
}

/* --- two parties --- */

/* A point key over the whole digit: exact, as nothing is cut off. A bit in its payload takes two exchanges, and the tree
 * no fewer levels. */
static struct mpc_point_form points_of(struct sec_one_hot form)
{
    enum { BIT_LEVELS = 2 };
    return (struct mpc_point_form){.h = form.times ? base_larger(form.bits, BIT_LEVELS) : form.bits,
                                   .ring = form.ring,
                                   .payload = form.times ? MPC_PAYLOAD_BIT : MPC_PAYLOAD_WORD,
                                   .word = 1};
}

static void take_made(void *context, size_t element, const uint64_t *hot)
{
    const struct reader *to = context;
    size_t cells = (size_t)1 << points_of(to->form).h;
    for (int g = 0; g < groups_of(to->form); g++)
        turn_from(to, element, g, hot + (size_t)g * cells, cells);
    to->take(to->context, element, to->row);
}

/* --- the twin --- */

static void give_values(const struct reader *to, const uint64_t *times, size_t n)
{
    size_t entries = (size_t)1 << to->form.bits;
    for (size_t i = 0; i < n; i++) {
        uint64_t at = to->m[i] & (entries - 1);
        memset(to->row, 0, (size_t)groups_of(to->form) * entries * sizeof *to->row);
        to->row[at] = 1;
        if (to->form.times)
            to->row[entries + at] = times[i];
        to->take(to->context, i, to->row);
    }
}

static void run_blocks(struct mpc_party *p, const struct reader *to, const uint64_t *mask,
                       const uint64_t *times, size_t n)
{
    size_t block = block_of(to->form);
    for (size_t at = 0; at < n && !mpc_failed(p); at += block) {
        size_t count = n - at < block ? n - at : block, mark = base_arena_mark(&p->arena);
        if (p->role == MPC_HELPER)
            deal_block(p, to->form, mask + at, times == NULL ? NULL : times + at, count);
        else if (by_table(to->form))
            read_table(p, to, at, count);
        else
            read_keys(p, to, at, count);
        base_arena_release(&p->arena, mark);
    }
}

void sec_one_hot_read(struct mpc_party *p, struct sec_one_hot form, struct mpc_wire x, const uint64_t *times,
                      sec_one_hot_fn take, void *context)
{
    if (!mpc_failed(p) && (form.bits < 1 || form.bits > SEC_ONE_HOT_MAX_BITS || form.bits > x.ring))
        mpc_fail(p, BASE_ERR_RANGE, "a one-hot row of %d bits (1 to %d) of a wire of %d bits", form.bits,
                 SEC_ONE_HOT_MAX_BITS, x.ring);
    if (mpc_failed(p))
        return;
    if (p->maker == NULL)
        mpc_declare(p, sec_one_hot_cost(form, x.count));
    size_t mark = base_arena_mark(&p->arena);
    const uint64_t *mask = sec_read_mask(p, x, form.bits), *m = sec_read_open(p, x, form.bits, 0);
    if (mpc_notes(p))
        sec_points_note(p, points_of(form), mask, x.count, 0, times, NULL);
    if (!mpc_notes(p) && p->role != MPC_COUNT) {
        struct reader to = {form, m, mpc_words(p, (size_t)groups_of(form) << form.bits), take, context};
        if (p->role == MPC_CLEAR && !mpc_failed(p))
            give_values(&to, times, x.count);
        else if (mpc_reads_made(p) && !mpc_failed(p))
            sec_points_read(p, points_of(form), x.count, take_made, &to);
        else if (p->role != MPC_CLEAR)
            run_blocks(p, &to, mask, times, x.count);
    }
    base_arena_release(&p->arena, mark);
}

/* --- conformance: the rows of digits of 4 bits (tables) and of 8 bits (keys), opened --- */

enum { TABLE_BITS = 4, DPF_BITS = 8, TABLE_RING = 7, DPF_RING = 20 };

struct copy {
    uint64_t *rows;
    size_t entries;
};

static void copy_row(void *context, size_t element, const uint64_t *hot)
{
    const struct copy *to = context;
    memcpy(to->rows + element * to->entries, hot, to->entries * sizeof *hot);
}

static enum base_status run_standard(struct mpc_party *p, struct sec_one_hot form, struct mpc_wire x,
                                     struct mpc_wire *ret)
{
    struct copy to = {NULL, (size_t)1 << form.bits};
    if (mpc_computes(p) || p->role == MPC_CLEAR)
        to.rows = mpc_words(p, x.count * to.entries);
    sec_one_hot_read(p, form, x, NULL, copy_row, &to);
    *ret = mpc_open_share(p, to.rows, x.count * to.entries, sec_one_hot_opening(form.ring, "one-hot"));
    return mpc_round(p);
}

static const struct sec_one_hot standard_table = {TABLE_BITS, TABLE_RING, false},
                                standard_dpf = {DPF_BITS, DPF_RING, false};

static enum base_status run_table(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    return run_standard(p, standard_table, x, ret);
}

static enum base_status run_dpf(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    return run_standard(p, standard_dpf, x, ret);
}

static void sample_table(int64_t *ret_x, size_t count, uint64_t seed)
{
    sec_sample_below(ret_x, count, seed, 1 << TABLE_BITS);
}

static void sample_dpf(int64_t *ret_x, size_t count, uint64_t seed)
{
    sec_sample_below(ret_x, count, seed, 1 << DPF_BITS);
}

static struct mpc_cost cost_standard(struct sec_one_hot form, size_t count)
{
    struct mpc_cost cost =
        mpc_cost_add(sec_one_hot_cost(form, count), mpc_open_share_cost(count << form.bits, form.ring, 0));
    cost.rounds = 1;
    return cost;
}

static struct mpc_cost cost_table(size_t count)
{
    return cost_standard(standard_table, count);
}

static struct mpc_cost cost_dpf(size_t count)
{
    return cost_standard(standard_dpf, count);
}

const struct sec_gate sec_gate_one_hot_table = {.name = "one-hot-table",
                                                .source = "specification, rank.py: one_hot",
                                                .input_ring = 9,
                                                .input_frac = 0,
                                                .input_bound = TABLE_BITS,
                                                .unit = 1,
                                                .sample = sample_table,
                                                .run = run_table,
                                                .cost = cost_table};
const struct sec_gate sec_gate_one_hot_dpf = {.name = "one-hot-dpf",
                                              .source = "specification, rank.py: one_hot",
                                              .input_ring = 12,
                                              .input_frac = 0,
                                              .input_bound = DPF_BITS,
                                              .unit = 1,
                                              .sample = sample_dpf,
                                              .run = run_dpf,
                                              .cost = cost_dpf};
