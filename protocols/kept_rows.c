#include "protocols/kept_rows.h"

#include <string.h>

static size_t rows_of(struct sec_kept_form form)
{
    return form.lost ? form.n : form.k;
}

/* Rows whose first element that may be 1 is that of their own number, kept ones and lost ones. */
struct band {
    size_t rows, width; /* width elements may be 1 */
};

static struct band kept_band(struct sec_kept_form form)
{
    return (struct band){.rows = form.k, .width = form.n - form.k + 1};
}

static struct band lost_band(struct sec_kept_form form)
{
    return (struct band){.rows = form.lost ? form.n - form.k : 0, .width = form.k + 1};
}

/* Elements of a row of flags that are opened. */
static size_t opened_of(struct sec_kept_form form)
{
    struct band kept = kept_band(form), lost = lost_band(form);
    return kept.rows * kept.width + lost.rows * lost.width;
}

static struct sec_one_hot hot_of(struct sec_kept_form form)
{
    return (struct sec_one_hot){.bits = sec_kept_bits(form.k), .ring = form.ring};
}

struct mpc_cost sec_kept_rows_cost(struct sec_kept_form form)
{
    return mpc_cost_add(sec_one_hot_cost(hot_of(form), form.rows * form.n),
                        mpc_open_share_cost(form.rows * opened_of(form), form.ring, 0));
}

/* --- prefix sums --- */

static uint64_t *sums_of(struct mpc_party *p, const uint64_t *v, struct sec_kept_form form, uint64_t keep)
{
    if (v == NULL)
        return NULL;
    uint64_t *sums = mpc_words(p, form.rows * form.n);
    for (size_t r = 0; sums != NULL && r < form.rows; r++) {
        uint64_t sum = 0;
        for (size_t i = r * form.n; i < (r + 1) * form.n; i++) {
            sum += v[i];
            sums[i] = sum & keep;
        }
    }
    return sums;
}

/* P_i, a wire that fills its ring. */
static struct mpc_wire prefix_sums(struct mpc_party *p, struct mpc_wire flags, struct sec_kept_form form)
{
    struct mpc_wire sums = flags;
    uint64_t keep = kern_ring_mask(flags.ring);
    sums.bound = flags.ring;
    sums.m = sums_of(p, flags.m, form, keep);
    sums.l1 = sums_of(p, flags.l1, form, keep);
    sums.l2 = sums_of(p, flags.l2, form, keep);
    sums.x = sums_of(p, flags.x, form, ~UINT64_C(0));
    return sums;
}

/* --- rows --- */

struct writer {
    struct sec_kept_form form;
    size_t row, i; /* of the next element */
    uint64_t one;  /* own share of 1 */
    uint64_t *now,
        *last;     /* [P_i >= v] of v = 0 .. k + 1, and of the element before: 0 from v = k + 1 on, 1 at 0 */
    uint64_t *out; /* [rows][opened] */
};

/* A row begins: nothing was kept before its first element. */
static void begin_row(struct writer *to)
{
    memset(to->last, 0, (to->form.k + 2) * sizeof *to->last);
    to->last[0] = to->one;
}

/* [P >= v] for any v: below 0 it is 1, above k it is 0. */
static uint64_t at_least(const struct writer *to, const uint64_t *sums, size_t plus, size_t minus)
{
    if (plus < minus)
        return to->one;
    return plus - minus > to->form.k ? 0 : sums[plus - minus];
}

/* Where element i of row r of a band lies; i is r to r + width - 1. */
static size_t place(struct band band, size_t r, size_t i)
{
    return r * band.width + i - r;
}

/* Element i of every row that may be 1 there. */
static void write_column(const struct writer *to)
{
    struct band kept = kept_band(to->form), lost = lost_band(to->form);
    uint64_t *out = to->out + to->row * opened_of(to->form);
    size_t i = to->i;
    for (size_t r = i < kept.width ? 0 : i - kept.width + 1; r < kept.rows && r <= i; r++)
        out[place(kept, r, i)] = to->now[r + 1] - to->last[r + 1];
    /* [P'_i >= s] = 1 - [P_i >= i + 2 - s], less the same of the element before; s = r + 1. */
    out += kept.rows * kept.width;
    for (size_t r = i < lost.width ? 0 : i - lost.width + 1; r < lost.rows && r <= i; r++)
        out[place(lost, r, i)] = at_least(to, to->last, i, r) - at_least(to, to->now, i + 1, r);
}

static void take_row(void *context, size_t element, const uint64_t *hot)
{
    struct writer *to = context;
    (void)element;
    if (to->i == 0)
        begin_row(to);
    to->now[to->form.k + 1] = 0;
    for (size_t v = to->form.k; v > 0; v--)
        to->now[v] = to->now[v + 1] + hot[v];
    to->now[0] = to->one;
    write_column(to);
    uint64_t *spare = to->last;
    to->last = to->now;
    to->now = spare;
    if (++to->i == to->form.n) {
        to->i = 0;
        to->row++;
    }
}

struct mpc_wire sec_kept_queue(struct mpc_party *p, struct sec_kept_form form, struct mpc_wire flags,
                               const char *label)
{
    size_t count = form.rows * opened_of(form);
    int bits = sec_kept_bits(form.k);
    if (!mpc_failed(p) && (form.k < 1 || form.k > form.n || flags.count != form.rows * form.n ||
                           flags.gate_only || flags.ring < bits))
        mpc_fail(p, BASE_ERR_INTERNAL, "%s: %zu of %zu flags of %d bits each in %zu rows, a wire of %zu",
                 label, form.k, form.n, flags.ring, form.rows, flags.count);
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    struct writer to = {.form = form, .one = p->role == MPC_LEFT || p->role == MPC_CLEAR};
    if (mpc_computes(p) || p->role == MPC_CLEAR) {
        to.out = mpc_words(p, count);
        to.now = mpc_words(p, form.k + 2);
        to.last = mpc_words(p, form.k + 2);
    }
    struct mpc_wire sums = prefix_sums(p, mpc_reduce(p, flags, bits), form);
    sec_one_hot_read(p, hot_of(form), sums, NULL, take_row, &to);
    return mpc_open_share(p, to.out, count, sec_one_hot_opening(form.ring, label));
}

struct mpc_wire sec_kept_rows(struct mpc_party *p, struct sec_kept_form form, struct mpc_wire opened)
{
    size_t rows = rows_of(form), count = form.rows * rows * form.n;
    struct band band[] = {kept_band(form), lost_band(form)};
    uint32_t *index = mpc_bytes(p, count * sizeof *index);
    if (mpc_failed(p))
        return opened;
    for (size_t e = 0; e < count; e++)
        index[e] = UINT32_MAX;
    for (size_t f = 0, from = 0, to = 0; f < form.rows; f++)
        for (int b = 0; b < 2; b++)
            for (size_t r = 0; r < band[b].rows; r++, to += form.n)
                for (size_t i = r; i < r + band[b].width; i++)
                    index[to + i] = (uint32_t)from++;
    return mpc_gather(p, opened, index, count);
}

/* --- conformance: 4 of 9, and the 5 others --- */

enum { STANDARD_N = 9, STANDARD_K = 4, STANDARD_BITS = 3, STANDARD_RING = 21 };

/* Four flags of each row, at places that the seed turns. */
static void sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    for (size_t first = 0; first < count; first += STANDARD_N) {
        sec_sample_step(&seed);
        size_t turn = seed >> 61;
        for (size_t i = 0; i < STANDARD_N; i++)
            ret_x[first + i] = (i >= turn && i < turn + STANDARD_K) ||
                               (turn + STANDARD_K > STANDARD_N && i < turn + STANDARD_K - STANDARD_N);
    }
}

static struct sec_kept_form standard(size_t count)
{
    return (struct sec_kept_form){
        .rows = count / STANDARD_N, .n = STANDARD_N, .k = STANDARD_K, .ring = STANDARD_RING, .lost = true};
}

static enum base_status run(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    struct sec_kept_form form = standard(x.count);
    struct mpc_wire opened = sec_kept_queue(p, form, x, "kept rows");
    enum base_status status = mpc_round(p);
    *ret = sec_kept_rows(p, form, opened);
    return status;
}

static struct mpc_cost cost(size_t count)
{
    struct mpc_cost total = sec_kept_rows_cost(standard(count));
    total.rounds = 1;
    return total;
}

const struct sec_gate sec_gate_kept_rows = {.name = "kept-rows",
                                            .source = "specification, kv.py: keep_index",
                                            .input_ring = STANDARD_BITS,
                                            .input_frac = 0,
                                            .input_bound = 1,
                                            .unit = STANDARD_N,
                                            .sample = sample,
                                            .run = run,
                                            .cost = cost};
