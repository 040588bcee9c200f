#include "protocols/box.h"

/* --- one level: pairs of boxes --- */

/* n comparisons and as many selections. */
static struct mpc_cost level_cost(size_t n, int k, int ring)
{
    struct mpc_cost cost = mpc_cost_add(sec_compare_cost(n, k), sec_select_cost(n, 1, ring));
    cost.rounds = 2;
    return cost;
}

/* The box around a and b. flat: a and b are single rows, their own largest and smallest. */
static enum base_status join(struct mpc_party *p, struct sec_box a, struct sec_box b, bool flat, int k,
                             struct sec_box *ret)
{
    enum base_status status = BASE_OK;
    size_t n = a.high.count;
    struct mpc_wire difference = mpc_add(p, a.high, b.high, -1, k - 1);
    if (!flat)
        difference = mpc_concat(p, difference, mpc_add(p, a.low, b.low, -1, k - 1));
    struct sec_masked_bit below = sec_compare(p, difference, k, "box: which is larger");
    TRY(mpc_round(p));
    struct mpc_wire least = sec_select(p, below, difference, 1, "box: min(a - b, 0)");
    TRY(mpc_round(p));
    ret->high = mpc_add(p, a.high, mpc_slice(least, 0, n), -1, a.high.bound);
    ret->low = mpc_add(p, b.low, mpc_slice(least, flat ? 0 : n, n), 1, b.low.bound);
    status = p->status;
out:
    return status;
}

/* Of w [groups][rows][channels]: rows [first, first + count) of every group. */
static struct mpc_wire rows_of(struct mpc_party *p, struct mpc_wire w, const struct sec_box_form *form,
                               size_t rows, size_t first, size_t count)
{
    size_t run = count * form->channels, n = form->groups * run, at = 0;
    uint32_t *index = mpc_bytes(p, n * sizeof *index);
    for (size_t g = 0; index != NULL && g < form->groups; g++)
        for (size_t i = 0; i < run; i++)
            index[at++] = (uint32_t)((g * rows + first) * form->channels + i);
    return index == NULL ? (struct mpc_wire){0} : mpc_gather(p, w, index, n);
}

static struct sec_box box_rows(struct mpc_party *p, struct sec_box box, bool flat,
                               const struct sec_box_form *form, size_t rows, size_t first, size_t count)
{
    struct sec_box part = {.high = rows_of(p, box.high, form, rows, first, count)};
    part.low = flat ? part.high : rows_of(p, box.low, form, rows, first, count);
    return part;
}

/* A difference of k bits must have room in the wire's ring, and a value in a difference. */
static void check_wire(struct mpc_party *p, const struct mpc_wire *x, size_t count, int k)
{
    if (!mpc_failed(p) && (x->count != count || count == 0 || count > UINT32_MAX || x->gate_only))
        mpc_fail(p, BASE_ERR_RANGE, "boxes over %zu elements: the wire has %zu%s", count, x->count,
                 x->gate_only ? " and is for gates only" : "");
    if (!mpc_failed(p) && (k < 2 || k > x->ring || k > 63 || x->bound > k - 1))
        mpc_fail(p, BASE_ERR_RANGE, "boxes: differences of %d bits of values of bound 2^%d in a ring of %d",
                 k, x->bound, x->ring);
}

/* --- the tournament --- */

enum base_status sec_box_eval(struct mpc_party *p, const struct sec_box_form *form, struct mpc_wire x,
                              struct sec_box *ret)
{
    enum base_status status = BASE_OK;
    size_t unit = form->unit;
    if (!mpc_failed(p) && (unit < 2 || unit > SEC_BOX_MOST_UNIT || (unit & (unit - 1)) != 0))
        mpc_fail(p, BASE_ERR_RANGE, "boxes of %zu rows: a power of two, 2 to %d", unit, SEC_BOX_MOST_UNIT);
    check_wire(p, &x, form->groups * unit * form->channels, form->k);
    struct sec_box box = {x, x};
    TRY(p->status); /* a unit of one row has no level that would say so */
    for (size_t rows = unit; rows > 1; rows >>= 1) {
        size_t half = rows >> 1;
        bool flat = rows == unit;
        struct sec_box first = box_rows(p, box, flat, form, rows, 0, half),
                       second = box_rows(p, box, flat, form, rows, half, half);
        TRY(join(p, first, second, flat, form->k, &box));
    }
    *ret = box;
out:
    return status;
}

struct mpc_cost sec_box_cost(const struct sec_box_form *form, int ring)
{
    struct mpc_cost total = {0};
    for (size_t half = form->unit >> 1; half > 0; half >>= 1) {
        size_t pairs = form->groups * half * form->channels;
        total = mpc_cost_add(total, level_cost(half == form->unit >> 1 ? pairs : 2 * pairs, form->k, ring));
    }
    return total;
}

enum base_status sec_box_join(struct mpc_party *p, const struct sec_box_form *form, struct sec_box box,
                              struct sec_box *ret)
{
    enum base_status status = BASE_OK;
    if (!mpc_failed(p) && (form->groups & 1) != 0)
        mpc_fail(p, BASE_ERR_RANGE, "boxes of %zu groups do not join in pairs", form->groups);
    check_wire(p, &box.high, form->groups * form->channels, form->k);
    check_wire(p, &box.low, form->groups * form->channels, form->k);
    /* Neighbours are the two rows of half as many groups. */
    struct sec_box_form pairs = {
        .groups = form->groups >> 1, .unit = 2, .channels = form->channels, .k = form->k};
    struct sec_box first = box_rows(p, box, false, &pairs, 2, 0, 1),
                   second = box_rows(p, box, false, &pairs, 2, 1, 1);
    TRY(join(p, first, second, false, form->k, ret));
out:
    return status;
}

struct mpc_cost sec_box_join_cost(const struct sec_box_form *form, int ring)
{
    return level_cost(form->groups * form->channels, form->k, ring);
}

/* --- conformance --- */

enum {
    STANDARD_UNIT = 16,
    STANDARD_CHANNELS = 2,
    STANDARD_GROUPS = 2, /* neighbours that join */
    STANDARD_ROWS = STANDARD_GROUPS * STANDARD_UNIT * STANDARD_CHANNELS,
    STANDARD_BITS = 18,
    STANDARD_RING = 40
};

static struct sec_box_form standard(size_t count)
{
    return (struct sec_box_form){.groups = STANDARD_GROUPS * (count / STANDARD_ROWS),
                                 .unit = STANDARD_UNIT,
                                 .channels = STANDARD_CHANNELS,
                                 .k = STANDARD_BITS};
}

/* The ends of the range against each other, equal rows, and others. */
static void sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    const int64_t end = ((1 << (STANDARD_BITS - 1)) - 1) / 2, edges[] = {end, -end, 0, -1, 1, end, end, -end};
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        ret_x[i] = (int64_t)((seed >> 33) % (uint64_t)(2 * end + 1)) - end;
        if (i < sizeof edges / sizeof *edges)
            ret_x[i] = edges[i];
        else if (i % 5 == 4)
            ret_x[i] = ret_x[i - STANDARD_CHANNELS];
    }
}

static enum base_status run(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    struct sec_box_form form = standard(x.count);
    struct sec_box box, joined;
    TRY(sec_box_eval(p, &form, x, &box));
    TRY(sec_box_join(p, &form, box, &joined));
    *ret = mpc_concat(p, mpc_concat(p, box.high, box.low), mpc_concat(p, joined.high, joined.low));
out:
    return status;
}

static struct mpc_cost cost(size_t count)
{
    struct sec_box_form form = standard(count);
    return mpc_cost_add(sec_box_cost(&form, STANDARD_RING), sec_box_join_cost(&form, STANDARD_RING));
}

const struct sec_gate sec_gate_box = {.name = "box",
                                      .source = "specification, kv.py: box",
                                      .input_ring = STANDARD_RING,
                                      .input_frac = 12,
                                      .input_bound = STANDARD_BITS - 2,
                                      .unit = STANDARD_ROWS,
                                      .sample = sample,
                                      .run = run,
                                      .cost = cost};
