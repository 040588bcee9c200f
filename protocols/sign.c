#include "protocols/sign.h"

/* Words of tables per dealt field. */
enum { CHUNK_WORDS = 1 << 17, WORD_SHIFT = 6, WORD = 1 << WORD_SHIFT };

/* --- truth tables of 2^(k-1) bits, in words --- */

struct table_form {
    size_t words;  /* per element */
    int word_bits; /* used of each */
};

static struct table_form table_of(int k)
{
    size_t bits = (size_t)1 << (k - 1);
    return bits <= WORD ? (struct table_form){1, (int)bits} : (struct table_form){bits >> WORD_SHIFT, WORD};
}

/* Elements per dealt field: a multiple of 8, so that the costs of fields add up. */
static size_t chunk_of(struct table_form form)
{
    return CHUNK_WORDS / form.words;
}

static struct mpc_cost cost_of(size_t n, int k, uint64_t bits)
{
    struct table_form form = table_of(k);
    return (struct mpc_cost){0, bits * 2 * mpc_bits(n, 1), mpc_bits(n * form.words, form.word_bits)};
}

struct mpc_cost sec_sign_cost(size_t n, int k)
{
    return k > SEC_SIGN_TABLE_BITS ? sec_compare_cost(n, k) : cost_of(n, k, 1);
}

struct mpc_cost sec_sign_zero_cost(size_t n, int k)
{
    return cost_of(n, k, 2);
}

/* Word `word` of the bits [a < low]: no branch and no address depends on low. */
static uint64_t bits_below(uint64_t low, uint64_t word)
{
    uint64_t whole = low >> WORD_SHIFT, rest = (UINT64_C(1) << (low & (WORD - 1))) - 1;
    uint64_t before = (word - whole) >> 63, here = ((word ^ whole) - 1) >> 63;
    return (0 - before) | ((0 - here) & rest);
}

static void deal_tables(struct mpc_party *p, const uint64_t *mask, size_t n, int k)
{
    struct table_form form = table_of(k);
    size_t chunk = chunk_of(form);
    uint64_t keep = kern_ring_mask(k - 1);
    for (size_t at = 0; at < n && !mpc_failed(p); at += chunk) {
        size_t count = n - at < chunk ? n - at : chunk, mark = base_arena_mark(&p->arena);
        uint64_t *words = mpc_words(p, count * form.words);
        for (size_t i = 0; words != NULL && i < count; i++)
            for (size_t w = 0; w < form.words; w++)
                words[i * form.words + w] = bits_below(mask[at + i] & keep, w);
        if (words != NULL)
            mpc_deal_xor(p, count * form.words, form.word_bits, words);
        base_arena_release(&p->arena, mark);
    }
}

static uint64_t bit_at(const uint64_t *words, uint64_t at)
{
    return words[at >> WORD_SHIFT] >> (at & (WORD - 1)) & 1;
}

/* P1, P2: XORs shares of [x < 0] and, where it is asked for, of [x = 0] into their fresh masks. m is public
 * to both. */
static void read_tables(struct mpc_party *p, const uint64_t *m, size_t n, int k, uint64_t *negative,
                        uint64_t *zero)
{
    struct table_form form = table_of(k);
    size_t chunk = chunk_of(form);
    uint64_t keep = kern_ring_mask(k - 1), left = p->role == MPC_LEFT;
    for (size_t at = 0; at < n && !mpc_failed(p); at += chunk) {
        size_t count = n - at < chunk ? n - at : chunk, mark = base_arena_mark(&p->arena);
        const uint64_t *words = mpc_deal_xor(p, count * form.words, form.word_bits, NULL);
        for (size_t i = 0; !mpc_failed(p) && i < count; i++, words += form.words) {
            uint64_t low = m[at + i] & keep, top = m[at + i] >> (k - 1) & 1, less = bit_at(words, low);
            negative[at + i] ^= less ^ (left & top);
            if (zero != NULL)
                zero[at + i] ^= less ^ (low == 0 ? left : bit_at(words, low - 1));
        }
        base_arena_release(&p->arena, mark);
    }
}

/* --- two parties: a point key over all of Z_2^k, read mod 2 --- */

static struct mpc_point_form points_of(int k)
{
    return (struct mpc_point_form){.h = k, .ring = 1, .payload = MPC_PAYLOAD_WORD, .word = 1};
}

struct reading {
    const uint64_t *m;
    int k;
    uint64_t *negative, *zero; /* XORed into */
};

/* x = m - c with c the sum of both masks: negative for the half of all c that begins behind m. */
static void read_cells(void *context, size_t i, const uint64_t *hot)
{
    const struct reading *to = context;
    size_t all = (size_t)1 << to->k;
    uint64_t negative = 0;
    for (size_t step = 1; step <= all / 2; step++)
        negative ^= hot[(to->m[i] + step) & (all - 1)];
    to->negative[i] ^= negative & 1;
    if (to->zero != NULL)
        to->zero[i] ^= hot[to->m[i]] & 1;
}

/* --- masked bits --- */

/* P0: rho = rho1 xor rho2, for [x < 0] xor the top bit of the mask, in place of rho1. */
static void fold_mask(uint64_t *rho1, const uint64_t *rho2, const uint64_t *mask, size_t n, int k)
{
    for (size_t i = 0; i < n; i++)
        rho1[i] ^= rho2[i] ^ (mask == NULL ? 0 : mask[i] >> (k - 1) & 1);
}

/* rho of a new masked bit at P0, and at P1 and P2 their own part of it in the place of delta. (Two parties ahead of time: own part.) */
static struct sec_masked_bit fresh_bit(struct mpc_party *p, size_t n, const uint64_t *mask, int k)
{
    struct sec_masked_bit bit = {.count = n};
    uint64_t *rho1 = NULL, *rho2 = NULL;
    mpc_fresh(p, n, 1, &rho1, &rho2);
    if (p->role == MPC_HELPER && p->maker == NULL && !mpc_failed(p))
        fold_mask(rho1, rho2, mask, n, k);
    if (p->role == MPC_HELPER)
        bit.rho = rho1;
    else if (mpc_computes(p))
        bit.delta = p->role == MPC_LEFT ? rho1 : rho2;
    else if (p->role == MPC_CLEAR)
        bit.x = mpc_words(p, n);
    return bit;
}

static void clear(struct mpc_party *p, const struct mpc_wire *x, int k, uint64_t *negative, uint64_t *zero)
{
    int64_t half = INT64_C(1) << (k - 1);
    mpc_check_range(p, "sign input", x->x, x->count, zero == NULL ? -half : 1 - half, half - 1);
    for (size_t i = 0; i < x->count; i++) {
        negative[i] = (int64_t)x->x[i] < 0;
        if (zero != NULL)
            zero[i] = x->x[i] == 0;
    }
}

/* The bits of [x < 0], and those of [x = 0] unless `zero` is NULL. */
static void by_table(struct mpc_party *p, struct mpc_wire x, int k, struct sec_masked_bit *negative,
                     struct sec_masked_bit *zero, const char *label)
{
    struct mpc_cost cost = cost_of(x.count, k, zero == NULL ? 1 : 2);
    mpc_declare(p, p->maker == NULL ? cost : (struct mpc_cost){.online = cost.online});
    const uint64_t *mask = sec_read_mask(p, x, k), *m = sec_read_open(p, x, k, 0);
    *negative = fresh_bit(p, x.count, mask, k);
    if (zero != NULL)
        *zero = fresh_bit(p, x.count, NULL, k);
    if (mpc_notes(p))
        sec_points_note(p, points_of(k), mask, x.count, 0, NULL, NULL);
    else if (mpc_reads_made(p) && !mpc_failed(p))
        sec_points_read(p, points_of(k), x.count, read_cells, &(struct reading){m, k, negative->delta, zero == NULL ? NULL : zero->delta});
    else if (p->role == MPC_HELPER && !mpc_failed(p))
        deal_tables(p, mask, x.count, k);
    else if (mpc_computes(p) && !mpc_failed(p))
        read_tables(p, m, x.count, k, negative->delta, zero == NULL ? NULL : zero->delta);
    else if (p->role == MPC_CLEAR && !mpc_failed(p))
        clear(p, &x, k, negative->x, zero == NULL ? NULL : zero->x);
    sec_masked_bit_queue(p, negative, label);
    if (zero != NULL)
        sec_masked_bit_queue(p, zero, label);
}

static bool fits(struct mpc_party *p, const struct mpc_wire *x, int k, const char *label)
{
    if (!mpc_failed(p) && (k < 2 || k > SEC_SIGN_TABLE_BITS || k > x->ring))
        mpc_fail(p, BASE_ERR_RANGE, "%s: the sign in %d bits (2 to %d) of a wire of %d bits", label, k,
                 SEC_SIGN_TABLE_BITS, x->ring);
    return !mpc_failed(p);
}

struct sec_masked_bit sec_sign(struct mpc_party *p, struct mpc_wire x, int k, const char *label)
{
    if (k > SEC_SIGN_TABLE_BITS)
        return sec_compare(p, x, k, label);
    struct sec_masked_bit bit = {.count = x.count};
    if (fits(p, &x, k, label))
        by_table(p, x, k, &bit, NULL, label);
    return bit;
}

void sec_sign_zero(struct mpc_party *p, struct mpc_wire x, int k, struct sec_masked_bit *ret_negative,
                   struct sec_masked_bit *ret_zero, const char *label)
{
    *ret_negative = *ret_zero = (struct sec_masked_bit){.count = x.count};
    if (fits(p, &x, k, label))
        by_table(p, x, k, ret_negative, ret_zero, label);
}

/* --- conformance: bits of 9 (sign) and of 6 (sign and zero) as wires --- */

enum { SIGN_BITS = 9, ZERO_BITS = 6, STANDARD_RING = 12 };

static void sample_standard(int64_t *ret_x, size_t count, uint64_t seed, int k)
{
    const int64_t half = INT64_C(1) << (k - 1), edges[] = {0, -1, 1, half - 1, 1 - half, 2 - half};
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        ret_x[i] = i < sizeof edges / sizeof *edges
                       ? edges[i]
                       : (int64_t)((seed >> 33) % (uint64_t)(2 * half - 1)) + 1 - half;
    }
}

static void sample_sign(int64_t *ret_x, size_t count, uint64_t seed)
{
    sample_standard(ret_x, count, seed, SIGN_BITS);
}

static void sample_zero(int64_t *ret_x, size_t count, uint64_t seed)
{
    sample_standard(ret_x, count, seed, ZERO_BITS);
}

static enum base_status run_sign(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    struct sec_masked_bit bit = sec_sign(p, x, SIGN_BITS, "sign");
    TRY(mpc_round(p));
    *ret = sec_bit_to_wire(p, bit, STANDARD_RING, "bit");
    TRY(mpc_round(p));
out:
    return status;
}

static enum base_status run_zero(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    struct sec_masked_bit negative, zero;
    sec_sign_zero(p, x, ZERO_BITS, &negative, &zero, "sign and zero");
    TRY(mpc_round(p));
    struct mpc_wire first = sec_bit_to_wire(p, negative, STANDARD_RING, "negative");
    struct mpc_wire second = sec_bit_to_wire(p, zero, STANDARD_RING, "zero");
    TRY(mpc_round(p));
    *ret = mpc_concat(p, first, second);
    status = p->status;
out:
    return status;
}

static struct mpc_cost cost_sign(size_t count)
{
    struct mpc_cost cost =
        mpc_cost_add(sec_sign_cost(count, SIGN_BITS), sec_bit_to_wire_cost(count, STANDARD_RING));
    cost.rounds = 2;
    return cost;
}

static struct mpc_cost cost_zero(size_t count)
{
    struct mpc_cost bit = sec_bit_to_wire_cost(count, STANDARD_RING);
    struct mpc_cost cost = mpc_cost_add(sec_sign_zero_cost(count, ZERO_BITS), mpc_cost_add(bit, bit));
    cost.rounds = 2;
    return cost;
}

const struct sec_gate sec_gate_sign = {.name = "sign",
                                       .source = "specification, rank.py: Sign",
                                       .input_ring = 20,
                                       .input_frac = 0,
                                       .input_bound = SIGN_BITS - 1,
                                       .unit = 1,
                                       .sample = sample_sign,
                                       .run = run_sign,
                                       .cost = cost_sign};
const struct sec_gate sec_gate_sign_zero = {.name = "sign-zero",
                                            .source = "specification, rank.py: Sign, read twice",
                                            .input_ring = 20,
                                            .input_frac = 0,
                                            .input_bound = ZERO_BITS - 1,
                                            .unit = 1,
                                            .sample = sample_zero,
                                            .run = run_zero,
                                            .cost = cost_zero};
