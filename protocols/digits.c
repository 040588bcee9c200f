#include "protocols/digits.h"

enum { CHUNK_WORDS = 1 << 17 };

struct mpc_cost sec_high_digit_cost(size_t n, int bits, int low)
{
    struct mpc_cost cost = mpc_open_share_cost(n, bits - low + 1, 0);
    cost.offline = mpc_bits(n << low, bits - low + 1);
    return cost;
}

/* Elements per dealt field: a multiple of 8, so that the costs of fields add up. */
static size_t chunk_of(int low)
{
    return (size_t)CHUNK_WORDS >> low;
}

/* Places are read from an array: of a counter minus a secret compilers make the loop's own counter, and its end and its addresses follow
 * the secret (which cancels, but no checker can tell). */
static void deal_tables(struct mpc_party *p, const uint64_t *mask, size_t n, int ring, int low)
{
    size_t entries = (size_t)1 << low, chunk = chunk_of(low), start = base_arena_mark(&p->arena);
    uint64_t *place = mpc_words(p, entries);
    for (size_t j = 0; place != NULL && j < entries; j++)
        place[j] = j;
    for (size_t at = 0; at < n && !mpc_failed(p); at += chunk) {
        size_t count = n - at < chunk ? n - at : chunk, mark = base_arena_mark(&p->arena);
        uint64_t *table = mpc_words(p, count * entries);
        for (size_t i = 0; table != NULL && i < count; i++) {
            uint64_t high = mask[at + i] >> low, rest = mask[at + i] & (entries - 1);
            for (size_t j = 0; j < entries; j++)
                table[i * entries + j] = 0 - high - ((place[j] - rest) >> 63);
        }
        if (table != NULL)
            mpc_deal(p, count * entries, ring, table);
        base_arena_release(&p->arena, mark);
    }
    base_arena_release(&p->arena, start);
}

static uint64_t *read_tables(struct mpc_party *p, const uint64_t *m, size_t n, int ring, int low)
{
    size_t entries = (size_t)1 << low, chunk = chunk_of(low);
    uint64_t *share = mpc_words(p, n);
    for (size_t at = 0; at < n && !mpc_failed(p); at += chunk) {
        size_t count = n - at < chunk ? n - at : chunk, mark = base_arena_mark(&p->arena);
        const uint64_t *table = mpc_deal(p, count * entries, ring, NULL);
        for (size_t i = 0; !mpc_failed(p) && i < count; i++)
            share[at + i] = table[i * entries + (m[at + i] & (entries - 1))] +
                            (p->role == MPC_LEFT ? m[at + i] >> low : 0);
        base_arena_release(&p->arena, mark);
    }
    return share;
}

/* --- two parties: a point key at the sum of the low parts of both masks, which is not reduced --- */

static struct mpc_point_form points_of(int ring, int low)
{
    return (struct mpc_point_form){.h = low + 1, .ring = ring, .payload = MPC_PAYLOAD_WORD, .word = 1};
}

static void note_points(struct mpc_party *p, const uint64_t *mask, size_t n, int ring, int low)
{
    size_t mark = base_arena_mark(&p->arena);
    uint64_t *rest = mask == NULL ? NULL : mpc_words(p, n);
    for (size_t i = 0; rest != NULL && i < n; i++)
        rest[i] = mask[i] & kern_ring_mask(low);
    sec_points_note(p, points_of(ring, low), rest, n, 0, NULL, NULL);
    base_arena_release(&p->arena, mark);
}

struct borrowing {
    const uint64_t *m, *own; /* own mask */
    uint64_t *share;
    int low;
    bool left;
};

/* m_high less what the low digits borrow, 0, 1 or 2: by how much their sum c exceeds m_low. */
static void borrow(void *context, size_t i, const uint64_t *hot)
{
    const struct borrowing *to = context;
    size_t entries = (size_t)1 << to->low, at = to->m[i] & (entries - 1);
    uint64_t high = (to->left ? to->m[i] >> to->low : 0) - (to->own[i] >> to->low);
    for (size_t c = at + 1; c < 2 * entries; c++)
        high -= hot[c];
    for (size_t c = at + entries + 1; c < 2 * entries; c++)
        high -= hot[c];
    to->share[i] = high;
}

static uint64_t *read_points(struct mpc_party *p, struct mpc_wire x, int bits, int low)
{
    uint64_t *share = mpc_words(p, x.count), *own = mpc_words(p, x.count), keep = kern_ring_mask(bits + 1);
    const uint64_t *mask = mpc_own_mask(p, &x);
    for (size_t i = 0; !mpc_failed(p) && i < x.count; i++)
        own[i] = mask[i] & keep;
    struct borrowing to = {sec_read_open(p, x, bits + 1, 0), own, share, low, p->role == MPC_LEFT};
    if (!mpc_failed(p))
        sec_points_read(p, points_of(bits - low + 1, low), x.count, borrow, &to);
    return share;
}

static uint64_t *clear(struct mpc_party *p, const struct mpc_wire *x, int bits, int low)
{
    uint64_t *high = mpc_words(p, x->count);
    mpc_check_range(p, "digits", x->x, x->count, 0, (INT64_C(1) << bits) - 1);
    for (size_t i = 0; high != NULL && i < x->count; i++)
        high[i] = (uint64_t)((int64_t)x->x[i] >> low);
    return high;
}

struct mpc_wire sec_high_digit(struct mpc_party *p, struct mpc_wire x, int bits, int low, const char *label)
{
    int ring = bits - low + 1;
    if (!mpc_failed(p) && (low < 1 || low > SEC_DIGITS_MAX_LOW || low >= bits || bits >= x.ring))
        mpc_fail(p, BASE_ERR_RANGE, "%s: a low digit of %d of %d bits (1 to %d) of a wire of %d bits", label,
                 low, bits, SEC_DIGITS_MAX_LOW, x.ring);
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    if (p->maker == NULL)
        sec_declare_dealt(p, sec_high_digit_cost(x.count, bits, low));
    const uint64_t *share = NULL;
    if (mpc_notes(p))
        note_points(p, sec_read_mask(p, x, bits + 1), x.count, ring, low);
    else if (mpc_reads_made(p))
        share = read_points(p, x, bits, low);
    else if (p->role == MPC_HELPER)
        deal_tables(p, sec_read_mask(p, x, bits + 1), x.count, ring, low);
    else if (p->role == MPC_CLEAR)
        share = clear(p, &x, bits, low);
    else if (mpc_computes(p))
        share = read_tables(p, sec_read_open(p, x, bits + 1, 0), x.count, ring, low);
    return mpc_open_share(
        p, share, x.count,
        (struct mpc_opening_form){.ring = ring, .bound = bits - low, .ulp = -1, .label = label});
}

static uint64_t *subtract_high(struct mpc_party *p, const uint64_t *x, const uint64_t *high, size_t n,
                               int low, uint64_t keep)
{
    if (x == NULL || high == NULL)
        return NULL;
    uint64_t *rest = mpc_words(p, n);
    for (size_t i = 0; rest != NULL && i < n; i++)
        rest[i] = (x[i] - (high[i] << low)) & keep;
    return rest;
}

struct mpc_wire sec_low_digit(struct mpc_party *p, struct mpc_wire x, struct mpc_wire high, int low)
{
    struct mpc_wire rest = {.ring = low + 1, .frac = x.frac, .bound = low, .count = x.count};
    if (!mpc_failed(p) && (x.gate_only || x.count != high.count || x.ring < rest.ring))
        mpc_fail(p, BASE_ERR_INTERNAL,
                 "the low %d bits of a wire of %zu elements of %d bits and %zu high digits", low, x.count,
                 x.ring, high.count);
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    uint64_t keep = kern_ring_mask(rest.ring);
    rest.m = subtract_high(p, x.m, high.m, x.count, low, keep);
    rest.l1 = subtract_high(p, x.l1, high.l1, x.count, low, keep);
    rest.l2 = subtract_high(p, x.l2, high.l2, x.count, low, keep);
    rest.x = subtract_high(p, x.x, high.x, x.count, low, ~UINT64_C(0));
    return rest;
}

/* --- conformance: the high 4 of 7 bits --- */

enum { STANDARD_BITS = 7, STANDARD_LOW = 3, STANDARD_RING = 9 };

static void sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    const int64_t limit = 1 << STANDARD_BITS,
                  edges[] = {0, limit - 1, 1, (1 << STANDARD_LOW) - 1, 1 << STANDARD_LOW};
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        ret_x[i] = i < sizeof edges / sizeof *edges ? edges[i] : (int64_t)((seed >> 33) % (uint64_t)limit);
    }
}

static enum base_status run(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    *ret = sec_high_digit(p, x, STANDARD_BITS, STANDARD_LOW, "high digit");
    return mpc_round(p);
}

static struct mpc_cost cost(size_t count)
{
    struct mpc_cost total = sec_high_digit_cost(count, STANDARD_BITS, STANDARD_LOW);
    total.rounds = 1;
    return total;
}

const struct sec_gate sec_gate_digits = {.name = "digits",
                                         .source = "specification, rank.py: high_digit",
                                         .input_ring = STANDARD_RING,
                                         .input_frac = 0,
                                         .input_bound = STANDARD_BITS,
                                         .unit = 1,
                                         .sample = sample,
                                         .run = run,
                                         .cost = cost};
