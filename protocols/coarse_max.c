#include "protocols/coarse_max.h"

#include "protocols/guard.h"

enum { CHUNK = 4096, BATCH = 16 };

/* Everything that depends on public shapes. */
struct layout {
    const struct sec_coarse_max *gate;
    const uint32_t *starts;
    size_t rows, elements, bins;
    int s, rc;
    bool by_dpf;
    struct kern_dpf_shape hot, zero;
};

static struct layout layout_of(const struct sec_coarse_max *gate, size_t elements, size_t rows, size_t longest)
{
    struct layout at = {.gate = gate, .rows = rows, .elements = elements, .bins = (size_t)1 << gate->h, .s = gate->k - gate->h,
                        .rc = 1};
    while ((size_t)1 << at.rc <= longest)
        at.rc++;
    at.hot = (struct kern_dpf_shape){.domain_bits = gate->h, .groups = 1, .rings = {at.rc},
                                     .nu = kern_dpf_choose_nu(gate->h, at.rc)};
    at.zero = (struct kern_dpf_shape){.domain_bits = at.rc, .groups = 1, .rings = {gate->ko},
                                      .nu = kern_dpf_choose_nu(at.rc, gate->ko)};
    at.by_dpf = 2 * sec_dpf_size(&at.hot, 8) < mpc_bits(8 * at.bins, at.rc);
    return at;
}

struct mpc_cost sec_coarse_max_cost(const struct sec_coarse_max *gate, size_t elements, size_t rows, size_t longest)
{
    struct layout at = layout_of(gate, elements, rows, longest);
    size_t suffixes = rows * (at.bins - 1);
    struct mpc_cost cost = {2, 0, at.by_dpf ? 2 * sec_dpf_size(&at.hot, elements) : mpc_bits(elements * at.bins, at.rc)};
    cost.offline += 2 * sec_dpf_size(&at.zero, suffixes);
    cost = mpc_cost_add(cost, mpc_open_share_cost(suffixes, at.rc, 0));
    return mpc_cost_add(cost, mpc_open_share_cost(rows, gate->ko, 0));
}

/* --- round 1: suffix counts ------------------------------------------------------------------------------------------------- */

/* P0: one-hot of a = lambda >> s, as a table or as a key. */
static void deal_hot(struct mpc_party *p, const struct layout *at, const uint64_t *mask)
{
    uint8_t *root1 = NULL, *root2 = NULL;
    if (at->by_dpf)
        sec_roots(p, at->elements, &root1, &root2);
    for (size_t first = 0; first < at->elements && !mpc_failed(p); first += CHUNK) {
        size_t n = at->elements - first < CHUNK ? at->elements - first : CHUNK, mark = base_arena_mark(&p->arena);
        if (at->by_dpf) {
            uint64_t *alpha = mpc_words(p, n), *one = mpc_words(p, n);
            for (size_t i = 0; !mpc_failed(p) && i < n; i++) {
                alpha[i] = mask[first + i] >> at->s;
                one[i] = 1;
            }
            sec_dpf_deal(p, &at->hot, n, alpha, one, root1 + 16 * first, root2 + 16 * first);
        } else {
            uint64_t *table = mpc_words(p, n * at->bins);
            for (size_t i = 0; table != NULL && i < n; i++)
                for (size_t bin = 0; bin < at->bins; bin++)
                    table[i * at->bins + bin] = (mask[first + i] >> at->s) == bin;
            if (table != NULL)
                mpc_deal(p, n * at->bins, at->rc, table);
        }
        base_arena_release(&p->arena, mark);
    }
}

/* P1, P2: adds the rotated one-hots of elements [first, first + n) to their rows' histograms. */
static void accumulate(const struct layout *at, const uint64_t *m, size_t first, size_t n, const uint64_t *hot, uint64_t *histogram,
                       size_t *row)
{
    for (size_t i = first; i < first + n; i++, hot += at->bins) {
        while (i >= at->starts[*row + 1])
            (*row)++;
        uint64_t *line = histogram + *row * at->bins;
        size_t bin = m[i] >> at->s;
        /* hot[pos] is a share of [a = pos]; the bin of the value is bin - a. */
        for (size_t q = 0; q < at->bins; q++)
            line[q] += hot[(bin - q) & (at->bins - 1)];
    }
}

static void read_hot(struct mpc_party *p, const struct layout *at, const uint64_t *m, uint64_t *histogram)
{
    uint8_t *root1 = NULL, *root2 = NULL;
    size_t row = 0;
    if (at->by_dpf)
        sec_roots(p, at->elements, &root1, &root2);
    const uint8_t *root = p->role == MPC_LEFT ? root1 : root2;
    void *scratch = mpc_bytes(p, kern_dpf_scratch(&at->hot));
    for (size_t first = 0; first < at->elements && !mpc_failed(p); first += CHUNK) {
        size_t n = at->elements - first < CHUNK ? at->elements - first : CHUNK, mark = base_arena_mark(&p->arena);
        if (!at->by_dpf) {
            const uint64_t *table = mpc_deal(p, n * at->bins, at->rc, NULL);
            if (!mpc_failed(p))
                accumulate(at, m, first, n, table, histogram, &row);
        } else {
            struct kern_dpf_keys keys;
            uint64_t *hot = mpc_words(p, BATCH * at->bins);
            if (!sec_dpf_receive(p, &at->hot, n, &keys))
                return;
            for (size_t i = 0; i < n; i += BATCH) {
                size_t batch = n - i < BATCH ? n - i : BATCH;
                p->kern->dpf_full(&keys, sec_side(p), root + 16 * first, i, batch, hot, scratch);
                accumulate(at, m, first + i, batch, hot, histogram, &row);
            }
        }
        base_arena_release(&p->arena, mark);
    }
}

/* Two parties: cells of the reading with a bit more, of which the first two and the upper half are bad. Public numbers. */
static bool is_bad(const struct layout *at, uint64_t cell)
{
    return cell < 2 || cell >= at->bins;
}

/* The twin takes the worst reading, one bin up (two parties: two, slack in (1, 3]): slack in (1, 2] bins, so its softmax is never better than the protocol's. */
static void count_clear(struct mpc_party *p, const struct layout *at, const uint64_t *x, uint64_t *histogram)
{
    size_t row = 0;
    int64_t half = INT64_C(1) << (at->gate->k - 1);
    int up = p->maker != NULL ? 2 : 1;
    mpc_check_range(p, "score", x, at->elements, -half, half - up * (INT64_C(1) << at->s) - 1);
    for (size_t i = 0; i < at->elements; i++) {
        while (i >= at->starts[row + 1])
            row++;
        int64_t cell = ((int64_t)x[i] + half) >> at->s, bin = cell + up;
        histogram[row * at->bins + (size_t)(bin & (int64_t)(at->bins - 1))]++;
        if (p->maker != NULL)
            p->guard += is_bad(at, (uint64_t)cell & (2 * at->bins - 1));
    }
}

/* --- two parties: point keys of both kinds --- */

static struct mpc_point_form hot_of(const struct layout *at)
{
    return (struct mpc_point_form){.h = at->gate->h + 1, .ring = at->rc, .payload = MPC_PAYLOAD_WORD, .word = 1};
}

static struct mpc_point_form zero_of(const struct layout *at)
{
    return (struct mpc_point_form){.h = at->rc, .ring = at->gate->ko, .payload = MPC_PAYLOAD_WORD, .word = UINT64_C(1) << at->s};
}

struct reading {
    const struct layout *at;
    const uint64_t *m;
    uint64_t *to; /* histograms; or c */
    size_t row;
    uint64_t *bad; /* [elements] */
};

/* Cells beyond the bins are counted nowhere but in `bad`. */
static void count_one(void *context, size_t i, const uint64_t *hot)
{
    struct reading *r = context;
    size_t bins = r->at->bins, cell = r->m[i] >> r->at->s;
    while (i >= r->at->starts[r->row + 1])
        r->row++;
    uint64_t *line = r->to + r->row * bins, bad = 0;
    for (size_t q = 0; q < 2 * bins; q++) {
        uint64_t share = hot[(cell - q) & (2 * bins - 1)];
        if (q < bins)
            line[q] += share;
        if (is_bad(r->at, q))
            bad += share;
    }
    r->bad[i] = bad;
}

static void count_made(struct mpc_party *p, const struct layout *at, struct mpc_wire x, uint64_t *histogram)
{
    int k = at->gate->k + 1;
    size_t mark = base_arena_mark(&p->arena);
    uint64_t *bad = mpc_words(p, at->elements);
    sec_points_read(p, hot_of(at), at->elements, count_one,
                    &(struct reading){at, sec_read_open(p, x, k, UINT64_C(1) << (k - 2)), histogram, 0, bad});
    sec_guard_join(p, bad, at->elements, "score");
    base_arena_release(&p->arena, mark);
}

static void test_one(void *context, size_t i, const uint64_t *hot)
{
    struct reading *r = context;
    r->to[i / (r->at->bins - 1)] -= hot[r->m[i]];
}

static struct mpc_wire queue_counts(struct mpc_party *p, const struct layout *at, struct mpc_wire x)
{
    size_t suffixes = at->rows * (at->bins - 1);
    uint64_t *histogram = mpc_words(p, at->rows * at->bins), *counts = mpc_words(p, suffixes);
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    for (size_t i = 0; i < at->rows * at->bins; i++)
        histogram[i] = 0;
    uint64_t half = UINT64_C(1) << (at->gate->k - 1);
    if (mpc_notes(p))
        sec_points_note(p, hot_of(at), sec_read_mask(p, x, at->gate->k + 1), at->elements, at->s, NULL, NULL);
    else if (p->role == MPC_HELPER)
        deal_hot(p, at, sec_read_mask(p, x, at->gate->k));
    else if (p->role == MPC_CLEAR)
        count_clear(p, at, x.x, histogram);
    else if (p->maker != NULL)
        count_made(p, at, x, histogram);
    else if (mpc_computes(p))
        read_hot(p, at, sec_read_open(p, x, at->gate->k, half), histogram);
    for (size_t r = 0; r < at->rows; r++) {
        uint64_t sum = 0;
        for (size_t bin = at->bins; bin-- > 1;) {
            sum += histogram[r * at->bins + bin];
            counts[r * (at->bins - 1) + bin - 1] = sum;
        }
    }
    /* A reading may be one bin lower than the twin's for any number of a row's elements. */
    return mpc_open_share(p, counts, suffixes, (struct mpc_opening_form){.ring = at->rc, .bound = at->rc,
                          .ulp = (double)(UINT64_C(1) << at->rc), .label = "suffix counts"});
}

/* --- round 2: c = 2^s (number of non-zero suffixes + 1) ------------------------------------------------------------------------ */

static void deal_zero_tests(struct mpc_party *p, const struct layout *at, const uint64_t *mask, size_t n)
{
    uint8_t *root1, *root2;
    sec_roots(p, n, &root1, &root2);
    uint64_t *payload = mpc_words(p, CHUNK);
    for (size_t i = 0; payload != NULL && i < CHUNK; i++)
        payload[i] = UINT64_C(1) << at->s;
    for (size_t first = 0; first < n && !mpc_failed(p); first += CHUNK) {
        size_t count = n - first < CHUNK ? n - first : CHUNK, mark = base_arena_mark(&p->arena);
        sec_dpf_deal(p, &at->zero, count, mask + first, payload, root1 + 16 * first, root2 + 16 * first);
        base_arena_release(&p->arena, mark);
    }
}

static void read_zero_tests(struct mpc_party *p, const struct layout *at, const uint64_t *m, size_t n, uint64_t *c)
{
    uint8_t *root1, *root2;
    sec_roots(p, n, &root1, &root2);
    const uint8_t *root = p->role == MPC_LEFT ? root1 : root2;
    for (size_t r = 0; r < at->rows; r++)
        c[r] = p->role == MPC_LEFT ? (uint64_t)at->bins << at->s : 0;
    for (size_t first = 0; first < n && !mpc_failed(p); first += CHUNK) {
        size_t count = n - first < CHUNK ? n - first : CHUNK, mark = base_arena_mark(&p->arena);
        struct kern_dpf_keys keys;
        uint64_t *zero = mpc_words(p, count);
        if (!sec_dpf_receive(p, &at->zero, count, &keys))
            return;
        p->kern->dpf_point(&keys, sec_side(p), root + 16 * first, m + first, zero);
        for (size_t i = 0; i < count; i++)
            c[(first + i) / (at->bins - 1)] -= zero[i];
        base_arena_release(&p->arena, mark);
    }
}

static void read_made_tests(struct mpc_party *p, const struct layout *at, const uint64_t *m, size_t n, uint64_t *c)
{
    for (size_t r = 0; r < at->rows; r++)
        c[r] = p->role == MPC_LEFT ? (uint64_t)at->bins << at->s : 0;
    sec_points_read(p, zero_of(at), n, test_one, &(struct reading){.at = at, .m = m, .to = c});
}

static struct mpc_wire queue_maximum(struct mpc_party *p, const struct layout *at, struct mpc_wire counts, int frac)
{
    size_t n = counts.count;
    uint64_t *c = mpc_words(p, at->rows);
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    if (mpc_notes(p))
        sec_points_note(p, zero_of(at), mpc_mask(p, &counts), n, 0, NULL, NULL);
    else if (p->role == MPC_HELPER)
        deal_zero_tests(p, at, mpc_mask(p, &counts), n);
    else if (p->maker != NULL && mpc_computes(p))
        read_made_tests(p, at, counts.m, n, c);
    else if (mpc_computes(p))
        read_zero_tests(p, at, counts.m, n, c);
    for (size_t r = 0; p->role == MPC_CLEAR && r < at->rows; r++) {
        c[r] = UINT64_C(1) << at->s;
        for (size_t bin = 0; bin + 1 < at->bins; bin++)
            c[r] += (uint64_t)(counts.x[r * (at->bins - 1) + bin] != 0) << at->s;
    }
    return mpc_open_share(p, c, at->rows, (struct mpc_opening_form){.ring = at->gate->ko, .frac = frac, .bound = at->gate->k,
                          .ulp = -1, .label = "coarse max"});
}

enum base_status sec_coarse_max_eval(struct mpc_party *p, const struct sec_coarse_max *gate, struct mpc_wire x,
                                     const uint32_t *starts, size_t rows, struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    size_t longest = 0;
    for (size_t r = 0; r < rows; r++)
        longest = starts[r + 1] - starts[r] > longest ? starts[r + 1] - starts[r] : longest;
    struct layout at = layout_of(gate, starts[rows], rows, longest);
    at.starts = starts;
    if (p->maker == NULL)
        sec_declare_dealt(p, sec_coarse_max_cost(gate, at.elements, rows, longest));
    struct mpc_wire counts = queue_counts(p, &at, x);
    TRY(mpc_round(p));
    struct mpc_wire c = queue_maximum(p, &at, counts, x.frac);
    TRY(mpc_round(p));
    *ret = mpc_add_const(p, c, -(INT64_C(1) << (gate->k - 1)));
out:
    return status;
}

/* --- conformance: rows of 24 scores of 16 bits in 16 bins ------------------------------------------------------------------------ */

static const struct sec_coarse_max standard = {.k = 16, .h = 4, .ko = 17};
enum { STANDARD_ROW = 24 };

static void sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    int64_t limit = (1 << 15) - 2 * (1 << 12) - 1; /* between two parties two bins stay empty */
    const int64_t edges[] = {-limit, limit, 0, -1, 1};
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        ret_x[i] = i < sizeof edges / sizeof *edges ? edges[i] : ((int64_t)((seed >> 33) % (uint64_t)(2 * limit)) - limit) >> (i / STANDARD_ROW % 3);
    }
}

static enum base_status run(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    size_t rows = x.count / STANDARD_ROW;
    uint32_t *starts = mpc_bytes(p, (rows + 1) * sizeof *starts);
    if (starts == NULL)
        return p->status;
    for (size_t r = 0; r <= rows; r++)
        starts[r] = (uint32_t)(r * STANDARD_ROW);
    return sec_coarse_max_eval(p, &standard, x, starts, rows, ret);
}

static struct mpc_cost cost(size_t count)
{
    return sec_coarse_max_cost(&standard, count, count / STANDARD_ROW, STANDARD_ROW);
}

const struct sec_gate sec_gate_coarse_max = {.name = "coarse-max", .source = "specification, rowmax.py", .input_ring = 20,
                                             .input_frac = 8, .input_bound = 15, .unit = STANDARD_ROW, .sample = sample, .run = run,
                                             .cost = cost};
