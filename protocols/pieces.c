#include "protocols/pieces.h"

#include "kernels/gather.h"
#include "protocols/guard.h"

#include <math.h>

enum { CHUNK = 64 }; /* keys per dealt message, and elements whose values at all points are held at a time */

/* --- knots --------------------------------------------------------------------------------------------- */

static int64_t next_knot(int64_t x, int64_t high, int per_octave)
{
    int64_t base = INT64_C(1) << (63 - __builtin_clzll((unsigned long long)x)), step = base / per_octave;
    step = step < 1 ? 1 : step;
    int64_t next = (x / step + 1) * step;
    return next > high ? high : next;
}

size_t sec_pieces_place(int k, int64_t low, int64_t high, int per_octave, int64_t *ret_knot)
{
    size_t n = 0;
    int64_t x = low;
    if (ret_knot != NULL) {
        ret_knot[0] = 0;
        ret_knot[1] = x;
    }
    for (n = 2; x < high; n++) {
        x = next_knot(x, high, per_octave);
        if (ret_knot != NULL)
            ret_knot[n] = x;
    }
    return x >= INT64_C(1) << k ? n - 1 : n;
}

size_t sec_pieces_good(int k, int64_t high, size_t count)
{
    return high < INT64_C(1) << k ? count - 1 : count;
}

void sec_pieces_watch(struct mpc_party *p, const struct sec_pieces *pieces, const uint64_t *x, size_t n)
{
    for (size_t i = 0; p->role == MPC_CLEAR && !mpc_failed(p) && i < n; i++) {
        size_t piece = sec_pieces_find(pieces, (int64_t)x[i]);
        p->guard += piece == 0 || piece >= pieces->good;
    }
}

size_t sec_pieces_find(const struct sec_pieces *pieces, int64_t x)
{
    size_t low = 0, high = pieces->count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (pieces->knot[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    return low;
}

int64_t sec_pieces_nearest(double x)
{
    return (int64_t)rint(x);
}

/* --- P0 ------------------------------------------------------------------------------------------------ */

static struct kern_dpf_shape shape_of(int k, int ring, int payloads)
{
    struct kern_dpf_shape shape = {.domain_bits = k, .groups = payloads};
    for (int g = 0; g < payloads; g++)
        shape.rings[g] = ring;
    return shape;
}

struct mpc_cost sec_pieces_cost(int k, int ring, int payloads, size_t n)
{
    struct kern_dpf_shape shape = shape_of(k, ring, payloads);
    return (struct mpc_cost){.offline =
                                 2 * sec_dcf_size(&shape, n) + mpc_bits((size_t)(payloads - 1) * n, ring)};
}

void sec_pieces_deal(struct mpc_party *p, const struct sec_pieces *pieces, const uint64_t *mask,
                     const uint64_t *words, size_t n)
{
    uint8_t *root1, *root2;
    struct kern_dpf_shape shape = shape_of(pieces->k, pieces->ring, pieces->payloads);
    sec_roots(p, n, &root1, &root2);
    uint64_t *beta = mpc_words(p, SEC_PIECES_PAYLOADS * CHUNK);
    if (mpc_failed(p))
        return;
    mpc_deal(p, (size_t)(pieces->payloads - 1) * n, pieces->ring, words);
    for (size_t at = 0; at < n && !mpc_failed(p); at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK, mark = base_arena_mark(&p->arena);
        for (size_t i = 0; i < count; i++) {
            beta[i] = 1;
            for (size_t g = 1; g < (size_t)pieces->payloads; g++)
                beta[g * count + i] = words[(g - 1) * n + at + i];
        }
        sec_dcf_deal(p, &shape, count, mask + at, beta, root1 + 16 * at, root2 + 16 * at);
        base_arena_release(&p->arena, mark);
    }
}

/* --- P1 and P2 ----------------------------------------------------------------------------------------- */

/* Share of a payload on {x >= knot_i, x < knot_(i+1)}, split into the part with w = 0 (ret[0]) and w = 1
 * (ret[1]), from the DCF at the points tau_i - 1 mod 2^k, tau_i = m + 1 - knot_i: f(x) = beta [x < lambda]
 * there is beta [lambda >= tau_i]. */
static void split(int64_t high, int64_t low, const uint64_t *at, uint64_t total, uint64_t *ret)
{
    /* at[0] belongs to high = tau_i, at[1] to low = tau_(i+1) <= high; a DCF value at point -1 mod 2^k stands
     * for tau = 0. All conditions are on public numbers. */
    uint64_t from_low = low <= 0 ? total : at[1];
    ret[0] = high > 0 ? from_low - at[0] : 0;
    uint64_t negative_low = low == 0 ? 0 : at[1], negative_high = high >= 0 ? 0 : at[0];
    ret[1] = low < 0 ? negative_low - negative_high : 0;
}

static int64_t point_of(const struct sec_pieces *pieces, size_t q)
{
    return q < pieces->count ? pieces->knot[q] : INT64_C(1) << pieces->k;
}

/* What the key is asked at consecutive knots: pieces [first, first + points - 1) and their payloads, the
 * leading ones of the key. A key of fewer payloads is the same key: no word of it depends on the groups after
 * its own. */
struct reading {
    size_t first, points;
    int payloads;
    uint64_t *x, *values; /* [count][points], [payloads][count][points] */
};

enum { READINGS = 2 };

static void readings_of(const struct sec_pieces *pieces, struct reading ret[READINGS])
{
    size_t rest = pieces->count - pieces->short_from;
    ret[0] = (struct reading){.first = 0, .points = pieces->short_from + 1, .payloads = pieces->payloads};
    ret[1] = (struct reading){
        .first = pieces->short_from, .points = rest == 0 ? 0 : rest + 1, .payloads = pieces->payloads - 1};
}

/* Key `at` of `count`; total[g]: the whole payload. */
static void read_shares(const struct sec_pieces *pieces, const struct reading *reading, uint64_t m, size_t at,
                        size_t count, const uint64_t *total, struct sec_piece_shares *ret)
{
    size_t stride = count * reading->points;
    for (size_t q = 0; q + 1 < reading->points; q++) {
        const uint64_t *values = reading->values + at * reading->points + q;
        size_t i = reading->first + q;
        int64_t high = (int64_t)m + 1 - point_of(pieces, i), low = (int64_t)m + 1 - point_of(pieces, i + 1);
        uint64_t part[2];
        split(high, low, values, total[0], part);
        ret->in[0][i] = part[0];
        ret->in[1][i] = part[1];
        for (int g = 1; g < reading->payloads; g++) {
            split(high, low, values + (size_t)g * stride, total[g], part);
            ret->word[g - 1][i] = part[0] + part[1];
        }
    }
}

struct work {
    uint8_t *root;
    const uint64_t *words; /* shares of the words of P0, [payloads - 1][n] */
    struct reading reading[READINGS];
    struct sec_piece_shares shares;
};

static bool make_work(struct mpc_party *p, const struct sec_pieces *pieces, size_t n, struct work *ret)
{
    size_t most = n < CHUNK ? n : CHUNK;
    uint8_t *root1, *root2;
    sec_roots(p, n, &root1, &root2);
    ret->root = p->role == MPC_LEFT ? root1 : root2;
    ret->words = mpc_deal(p, (size_t)(pieces->payloads - 1) * n, pieces->ring, NULL);
    readings_of(pieces, ret->reading);
    for (int r = 0; r < READINGS; r++) {
        struct reading *reading = &ret->reading[r];
        reading->x = mpc_words(p, most * reading->points);
        reading->values = mpc_words(p, (size_t)reading->payloads * most * reading->points);
    }
    for (int w = 0; w < 2; w++) {
        ret->shares.in[w] = mpc_words(p, pieces->count);
        ret->shares.word[w] = mpc_words(p, pieces->count);
    }
    return !mpc_failed(p);
}

static void eval_reading(struct mpc_party *p, const struct sec_pieces *pieces, struct kern_dcf_keys keys,
                         const uint64_t *m, const uint8_t *root, const struct reading *reading)
{
    uint64_t keep = kern_ring_mask(pieces->k);
    for (size_t i = 0; i < keys.count; i++)
        for (size_t q = 0; q < reading->points; q++)
            reading->x[i * reading->points + q] =
                (m[i] - (uint64_t)point_of(pieces, reading->first + q)) & keep;
    keys.shape.groups = reading->payloads;
    kern_dcf_later(p->kern, &keys, sec_side(p), root, reading->x, reading->points, reading->values);
}

/* The key's values of elements [at, at + count). */
static bool eval_chunk(struct mpc_party *p, const struct sec_pieces *pieces, const uint64_t *m, size_t at,
                       size_t count, const struct work *work)
{
    struct kern_dpf_shape shape = shape_of(pieces->k, pieces->ring, pieces->payloads);
    struct kern_dcf_keys keys;
    if (!sec_dcf_receive(p, &shape, count, &keys))
        return false;
    kern_hold(p->kern); /* both readings are waited for together */
    for (int r = 0; r < READINGS; r++)
        if (work->reading[r].points > 1)
            eval_reading(p, pieces, keys, m + at, work->root + 16 * at, &work->reading[r]);
    kern_settle(p->kern);
    return true;
}

/* Share of [x outside the range]. */
static uint64_t outside(const struct sec_pieces *pieces, const struct sec_piece_shares *shares)
{
    uint64_t sum = shares->in[0][0] + shares->in[1][0];
    for (size_t i = pieces->good; i < pieces->count; i++)
        sum += shares->in[0][i] + shares->in[1][i];
    return sum;
}

void sec_pieces_eval(struct mpc_party *p, const struct sec_pieces *pieces, const uint64_t *m, size_t n,
                     sec_pieces_fn combine, const void *gate, int results, uint64_t **ret)
{
    struct work work = {0};
    for (int e = 0; e < results; e++)
        ret[e] = mpc_words(p, n);
    if (!make_work(p, pieces, n, &work))
        return;
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK, mark = base_arena_mark(&p->arena);
        uint64_t bad[CHUNK];
        if (!eval_chunk(p, pieces, m, at, count, &work))
            return;
        for (size_t i = 0; i < count; i++) {
            uint64_t total[SEC_PIECES_PAYLOADS] = {p->role == MPC_RIGHT}, sum[SEC_PIECES_RESULTS];
            for (size_t g = 1; g < (size_t)pieces->payloads; g++)
                total[g] = work.words[(g - 1) * n + at + i];
            for (int r = 0; r < READINGS; r++)
                read_shares(pieces, &work.reading[r], m[at + i], i, count, total, &work.shares);
            combine(gate, m[at + i], &work.shares, sum);
            bad[i] = outside(pieces, &work.shares);
            for (int e = 0; e < results; e++)
                ret[e][at + i] = sum[e];
        }
        sec_guard_join(p, bad, count, "range");
        base_arena_release(&p->arena, mark);
    }
}
