#include "protocols/max_step.h"

enum { CHUNK = 1024, GROUP_ONE = 0, GROUP_VALUE = 1, GROUP_ID = 2, GROUPS = 3 };

static struct kern_dpf_shape shape_of(const struct sec_max_step *step)
{
    int larger = step->k > step->ri ? step->k : step->ri;
    return (struct kern_dpf_shape){.domain_bits = step->k, .groups = GROUPS, .rings = {larger, step->k, step->ri}};
}

struct sec_max_step sec_max_step_for(int bound, size_t n)
{
    int bits = 1;
    while ((size_t)1 << bits < n)
        bits++;
    return (struct sec_max_step){.k = bound + 2, .ri = bits + 2};
}

struct mpc_cost sec_max_step_cost(const struct sec_max_step *step, size_t pairs)
{
    struct kern_dpf_shape shape = shape_of(step);
    struct mpc_cost cost = mpc_cost_add(mpc_open_share_cost(pairs, step->k, 0), mpc_open_share_cost(pairs, step->ri, 0));
    cost.rounds = 1;
    cost.offline = 2 * sec_dcf_size(&shape, pairs) + mpc_bits(pairs, step->k) + mpc_bits(pairs, step->ri);
    return cost;
}

/* --- ranked wires ------------------------------------------------------------------------------------------------------------------ */

static void put_wire(struct mpc_wire *to, const uint32_t *at, const struct mpc_wire *from)
{
    uint64_t *const target[] = {to->m, to->l1, to->l2, to->x};
    const uint64_t *const source[] = {from->m, from->l1, from->l2, from->x};
    for (size_t c = 0; c < sizeof target / sizeof *target; c++)
        for (size_t i = 0; target[c] != NULL && source[c] != NULL && i < from->count; i++)
            target[c][at == NULL ? i : at[i]] = source[c][i];
}

void sec_ranked_put(struct sec_ranked *to, const uint32_t *at, struct sec_ranked from)
{
    put_wire(&to->value, at, &from.value);
    put_wire(&to->id, at, &from.id);
}

struct sec_ranked sec_ranked_gather(struct mpc_party *p, struct sec_ranked from, const uint32_t *index, size_t count)
{
    return (struct sec_ranked){mpc_gather(p, from.value, index, count), mpc_gather(p, from.id, index, count)};
}

struct sec_ranked sec_ranked_start(struct mpc_party *p, const struct sec_max_step *step, struct mpc_wire x, size_t padded)
{
    struct sec_ranked out = {{0}, {0}};
    size_t n = x.count;
    if (!mpc_failed(p) && (x.bound > step->k - 2 || step->k > x.ring || step->k > 62 || step->ri > 62 || n > (size_t)1 << (step->ri - 2)))
        mpc_fail(p, BASE_ERR_RANGE, "ranking %zu values of bound 2^%d in a ring of %d: %d bits of value and %d of id do not hold them",
                 n, x.bound, x.ring, step->k, step->ri);
    if (mpc_failed(p))
        return out;
    int64_t lowest = -(INT64_C(1) << (step->k - 2)), *fill = mpc_bytes(p, padded * sizeof *fill);
    if (mpc_failed(p))
        return out;
    mpc_check_range(p, "ranked value", x.x, n, lowest + 1, -lowest - 1);
    for (size_t i = 0; i < padded; i++)
        fill[i] = i < n ? (int64_t)i : 0;
    out.id = mpc_public(p, fill, padded, step->ri, 0, step->ri - 2);
    for (size_t i = 0; i < padded; i++)
        fill[i] = lowest;
    out.value = mpc_public(p, fill, padded, step->k, x.frac, step->k - 2);
    struct mpc_wire value = mpc_reduce(p, x, step->k);
    if (!mpc_failed(p))
        put_wire(&out.value, NULL, &value);
    return out;
}

/* --- the step ------------------------------------------------------------------------------------------------------------------------ */

static void deal(struct mpc_party *p, const struct sec_max_step *step, const struct mpc_wire *d, const struct mpc_wire *di)
{
    struct kern_dpf_shape shape = shape_of(step);
    const uint64_t *mask = mpc_mask(p, d), *mask_id = mpc_mask(p, di);
    uint8_t *root1, *root2;
    sec_roots(p, d->count, &root1, &root2);
    for (size_t at = 0; at < d->count && !mpc_failed(p); at += CHUNK) {
        size_t n = d->count - at < CHUNK ? d->count - at : CHUNK, mark = base_arena_mark(&p->arena);
        uint64_t *beta = mpc_words(p, GROUPS * n);
        for (size_t i = 0; beta != NULL && i < n; i++) {
            beta[GROUP_ONE * n + i] = 1;
            beta[GROUP_VALUE * n + i] = mask[at + i];
            beta[GROUP_ID * n + i] = mask_id[at + i];
        }
        if (beta != NULL)
            sec_dcf_deal(p, &shape, n, mask + at, beta, root1 + 16 * at, root2 + 16 * at);
        base_arena_release(&p->arena, mark);
    }
    if (mpc_failed(p))
        return;
    mpc_deal(p, d->count, step->k, mask);
    mpc_deal(p, d->count, step->ri, mask_id);
}

/* d >= 0 is lambda in {m - half + 1, .., m} mod 2^k. With upper(t) = share of payload [lambda >= t], read from the DCF at t - 1, this
 * is upper(m - half + 1) - upper(m + 1), and total + upper(m - half + 1 + 2^k) - upper(m + 1) where the interval wraps. At t = 0 the DCF
 * cannot be read; at t = 2^k it gives shares of 0, as it should. Conditions are on public numbers: k, and m which both parties hold. */
static uint64_t interval(uint64_t m, int k, uint64_t total, uint64_t at_high, uint64_t at_low)
{
    uint64_t half = UINT64_C(1) << (k - 1), low = (m + 1 - half) & kern_ring_mask(k);
    uint64_t from_low = low == 0 ? total : at_low;
    return (m + 1 < half ? total : 0) + from_low - at_high;
}

/* Shares of payload [d >= 0] for every pair: *ret [GROUPS][n]. */
static void read_keys(struct mpc_party *p, const struct sec_max_step *step, const struct mpc_wire *d, uint64_t *ret)
{
    struct kern_dpf_shape shape = shape_of(step);
    uint64_t keep = kern_ring_mask(step->k), half = UINT64_C(1) << (step->k - 1);
    size_t total = d->count;
    uint8_t *root1, *root2;
    sec_roots(p, total, &root1, &root2);
    const uint8_t *root = p->role == MPC_LEFT ? root1 : root2;
    for (size_t at = 0; at < total && !mpc_failed(p); at += CHUNK) {
        size_t n = total - at < CHUNK ? total - at : CHUNK, mark = base_arena_mark(&p->arena);
        struct kern_dcf_keys keys;
        uint64_t *x = mpc_words(p, 2 * n), *values = mpc_words(p, GROUPS * 2 * n);
        if (mpc_failed(p) || !sec_dcf_receive(p, &shape, n, &keys))
            return;
        for (size_t i = 0; i < n; i++) {
            x[2 * i] = d->m[at + i];
            x[2 * i + 1] = (d->m[at + i] - half) & keep;
        }
        p->kern->dcf_eval(&keys, sec_side(p), root + 16 * at, x, 2, values);
        /* ret keeps the two readings of every group until the totals are there. */
        for (size_t g = 0; g < GROUPS; g++)
            for (size_t i = 0; i < 2 * n; i++)
                ret[(g * total + at) * 2 + i] = values[g * 2 * n + i];
        base_arena_release(&p->arena, mark);
    }
}

/* P1, P2: shares of s d and s di. */
static void eval(struct mpc_party *p, const struct sec_max_step *step, const struct mpc_wire *d, const struct mpc_wire *di,
                 uint64_t *ret_value, uint64_t *ret_id)
{
    size_t n = d->count;
    uint64_t *read = mpc_words(p, GROUPS * 2 * n);
    if (read == NULL)
        return;
    read_keys(p, step, d, read);
    const uint64_t *total_value = mpc_deal(p, n, step->k, NULL), *total_id = mpc_deal(p, n, step->ri, NULL);
    for (size_t i = 0; !mpc_failed(p) && i < n; i++) {
        const uint64_t total[GROUPS] = {p->role == MPC_RIGHT, total_value[i], total_id[i]};
        uint64_t part[GROUPS];
        for (size_t g = 0; g < GROUPS; g++)
            part[g] = interval(d->m[i], step->k, total[g], read[(g * n + i) * 2], read[(g * n + i) * 2 + 1]);
        ret_value[i] = part[GROUP_ONE] * d->m[i] - part[GROUP_VALUE];
        ret_id[i] = part[GROUP_ONE] * di->m[i] - part[GROUP_ID];
    }
}

static void clear(struct mpc_party *p, const struct sec_max_step *step, const struct mpc_wire *d, const struct mpc_wire *di,
                  uint64_t *ret_value, uint64_t *ret_id)
{
    int64_t half = INT64_C(1) << (step->k - 1);
    mpc_check_range(p, "difference of ranked values", d->x, d->count, -half, half - 1);
    for (size_t i = 0; i < d->count; i++) {
        uint64_t s = (int64_t)d->x[i] >= 0;
        ret_value[i] = s * d->x[i];
        ret_id[i] = s * di->x[i];
    }
}

enum base_status sec_max_step_eval(struct mpc_party *p, const struct sec_max_step *step, struct sec_ranked a, struct sec_ranked b,
                                   struct sec_ranked *ret_high, struct sec_ranked *ret_low)
{
    enum base_status status = BASE_OK;
    size_t n = a.value.count;
    struct mpc_wire d = mpc_add(p, a.value, b.value, -1, step->k - 1), di = mpc_add(p, a.id, b.id, -1, step->ri - 2);
    sec_declare_dealt(p, sec_max_step_cost(step, n));
    uint64_t *share = NULL, *share_id = NULL;
    if (!mpc_failed(p) && p->role == MPC_HELPER) {
        deal(p, step, &d, &di);
    } else if (p->role != MPC_COUNT) {
        share = mpc_words(p, n);
        share_id = mpc_words(p, n);
        if (!mpc_failed(p) && p->role == MPC_CLEAR)
            clear(p, step, &d, &di, share, share_id);
        else if (!mpc_failed(p))
            eval(p, step, &d, &di, share, share_id);
    }
    struct mpc_wire sd = mpc_open_share(p, share, n, (struct mpc_opening_form){.ring = step->k, .frac = a.value.frac,
                                        .bound = step->k - 1, .ulp = -1, .label = "larger value"});
    struct mpc_wire si = mpc_open_share(p, share_id, n, (struct mpc_opening_form){.ring = step->ri, .bound = step->ri - 2, .ulp = -1,
                                        .label = "id of the larger"});
    TRY(mpc_round(p));
    *ret_high = (struct sec_ranked){mpc_add(p, b.value, sd, 1, step->k - 2), mpc_add(p, b.id, si, 1, step->ri - 2)};
    if (ret_low != NULL)
        *ret_low = (struct sec_ranked){mpc_add(p, a.value, sd, -1, step->k - 2), mpc_add(p, a.id, si, -1, step->ri - 2)};
    status = p->status;
out:
    return status;
}

void sec_ranked_sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    const int64_t limit = (1 << SEC_RANKED_SAMPLE_BOUND) - 1;
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        ret_x[i] = i % 9 == 8 ? ret_x[i - 1] : (int64_t)((seed >> 33) % (uint64_t)(2 * limit)) - limit;
    }
}

/* --- conformance: the first half of the inputs against the second ----------------------------------------------------------------------- */

enum { STANDARD_BOUND = 16, STANDARD_IDS = 4096 };

static void sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    const int64_t limit = (1 << STANDARD_BOUND) - 1, edges[] = {limit, -limit, 0, 1, -1};
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        ret_x[i] = i % (count / 2) < sizeof edges / sizeof *edges ? edges[(i + i / (count / 2) * 3) % 5]
                                                                  : (int64_t)((seed >> 33) % (uint64_t)(2 * limit)) - limit;
    }
}

static enum base_status run(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    struct sec_max_step step = sec_max_step_for(STANDARD_BOUND, STANDARD_IDS);
    struct sec_ranked all = sec_ranked_start(p, &step, x, x.count), high, low;
    size_t n = x.count / 2;
    struct sec_ranked a = {mpc_slice(all.value, 0, n), mpc_slice(all.id, 0, n)};
    struct sec_ranked b = {mpc_slice(all.value, n, n), mpc_slice(all.id, n, n)};
    TRY(sec_max_step_eval(p, &step, a, b, &high, &low));
    *ret = mpc_concat(p, high.value, low.value);
out:
    return status;
}

static struct mpc_cost cost(size_t count)
{
    struct sec_max_step step = sec_max_step_for(STANDARD_BOUND, STANDARD_IDS);
    return sec_max_step_cost(&step, count / 2);
}

const struct sec_gate sec_gate_max_step = {.name = "max-step", .source = "specification, compare.py: Argmax.eval_step",
                                           .input_ring = 40, .input_frac = 4, .input_bound = STANDARD_BOUND, .unit = 2,
                                           .sample = sample, .run = run, .cost = cost};
