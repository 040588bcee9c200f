#include "protocols/compare.h"

enum { CHUNK = 4096, BLOCK = 16 };

/* --- bit keys as messages: seed words, bit words, leaf blocks ----------------------------------------------------------------- */

static int levels_of(int k)
{
    return k > 7 ? k - 7 : 0;
}

static size_t key_size(int k)
{
    return (size_t)levels_of(k) * BLOCK + kern_bit_words_size(levels_of(k)) + BLOCK;
}

struct mpc_cost sec_compare_cost(size_t n, int k)
{
    return (struct mpc_cost){0, 2 * mpc_bits(n, 1), 2 * n * key_size(k - 1)};
}

/* Keys of `low` bits; n of them in one message. */
struct bit_message {
    uint8_t *data, *bits, *blocks;
};

static struct bit_message make_message(struct mpc_party *p, int low, size_t n)
{
    struct bit_message message = {.data = mpc_bytes(p, n * key_size(low))};
    if (message.data != NULL) {
        message.bits = message.data + n * (size_t)levels_of(low) * BLOCK;
        message.blocks = message.bits + n * kern_bit_words_size(levels_of(low));
    }
    return message;
}

/* P0: keys at the low bits of the mask. */
static void deal(struct mpc_party *p, const uint64_t *mask, size_t n, int k)
{
    int low = k - 1;
    uint8_t *root1, *root2;
    sec_roots(p, n, &root1, &root2);
    for (size_t at = 0; at < n && !mpc_failed(p); at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK, mark = base_arena_mark(&p->arena);
        uint64_t *alpha = mpc_words(p, count);
        struct bit_message message = make_message(p, low, count);
        for (size_t i = 0; !mpc_failed(p) && i < count; i++)
            alpha[i] = mask[at + i] & kern_ring_mask(low);
        if (!mpc_failed(p)) {
            p->kern->bit_generate(low, count, alpha, root1 + BLOCK * at, root2 + BLOCK * at, message.data, message.bits,
                                  message.blocks);
            mpc_deal_both_bytes(p, message.data, count * key_size(low));
        }
        base_arena_release(&p->arena, mark);
    }
}

/* P1, P2: XOR shares of [x < 0]. */
static void eval(struct mpc_party *p, const uint64_t *m, size_t n, int k, uint64_t *ret)
{
    int low = k - 1;
    uint64_t keep = kern_ring_mask(low), left = p->role == MPC_LEFT;
    uint8_t *root1, *root2;
    sec_roots(p, n, &root1, &root2);
    const uint8_t *root = left ? root1 : root2;
    for (size_t at = 0; at < n && !mpc_failed(p); at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK, mark = base_arena_mark(&p->arena);
        uint64_t *x = mpc_words(p, count);
        uint8_t *less = mpc_bytes(p, count);
        struct bit_message message = make_message(p, low, count);
        if (!mpc_failed(p))
            mpc_deal_both_bytes(p, message.data, count * key_size(low));
        for (size_t i = 0; !mpc_failed(p) && i < count; i++)
            x[i] = (m[at + i] + 1) & keep;
        if (!mpc_failed(p))
            p->kern->bit_less(low, count, sec_side(p), root + BLOCK * at, message.data, message.bits, message.blocks, x, less);
        for (size_t i = 0; !mpc_failed(p) && i < count; i++) {
            /* [lambda_low < m_low + 1]; at m_low + 1 = 2^low it is true for every mask. m is public to both. */
            uint64_t at_most = x[i] == 0 ? left : less[i], top = m[at + i] >> low & 1;
            ret[at + i] = at_most ^ (left ? top ^ 1 : 0);
        }
        base_arena_release(&p->arena, mark);
    }
}

static void clear(struct mpc_party *p, const struct mpc_wire *x, int k, uint64_t *ret)
{
    int64_t half = INT64_C(1) << (k - 1);
    mpc_check_range(p, "comparison input", x->x, x->count, -half, half - 1);
    for (size_t i = 0; i < x->count; i++)
        ret[i] = (int64_t)x->x[i] < 0;
}

/* P0: rho1 xor rho2 xor the top bit of the mask, in place of rho1. */
static void fold_top_bit(const uint64_t *mask, size_t n, int k, uint64_t *rho1, const uint64_t *rho2)
{
    for (size_t i = 0; i < n; i++)
        rho1[i] ^= rho2[i] ^ (mask[i] >> (k - 1) & 1);
}

struct sec_masked_bit sec_compare(struct mpc_party *p, struct mpc_wire x, int k, const char *label)
{
    struct sec_masked_bit bit = {.count = x.count};
    size_t n = x.count;
    if (!mpc_failed(p) && (k < 2 || k > 63 || k > x.ring))
        mpc_fail(p, BASE_ERR_RANGE, "%s: a comparison of %d bits of a wire of %d bits", label, k, x.ring);
    if (mpc_failed(p))
        return bit;
    struct mpc_cost cost = sec_compare_cost(n, k);
    mpc_declare(p, cost);
    uint64_t *rho1 = NULL, *rho2 = NULL;
    mpc_fresh(p, n, 1, &rho1, &rho2);
    if (p->role == MPC_HELPER) {
        const uint64_t *mask = sec_read_mask(p, x, k);
        bit.rho = rho1;
        if (!mpc_failed(p))
            fold_top_bit(mask, n, k, rho1, rho2);
        deal(p, mask, n, k);
    } else if (p->role == MPC_CLEAR) {
        if ((bit.x = mpc_words(p, n)) != NULL)
            clear(p, &x, k, bit.x);
    } else if (mpc_computes(p)) {
        const uint64_t *m = sec_read_open(p, x, k, 0), *rho = p->role == MPC_LEFT ? rho1 : rho2;
        if ((bit.delta = mpc_words(p, n)) != NULL)
            eval(p, m, n, k, bit.delta);
        for (size_t i = 0; !mpc_failed(p) && i < n; i++)
            bit.delta[i] ^= rho[i];
    }
    sec_masked_bit_queue(p, &bit, label);
    return bit;
}

void sec_masked_bit_queue(struct mpc_party *p, const struct sec_masked_bit *bit, const char *label)
{
    size_t n = bit->count;
    struct mpc_wire wire = {.ring = 1, .gate_only = true, .count = n, .m = bit->delta, .l1 = bit->rho, .x = bit->x};
    (void)mpc_queue(p, &(struct mpc_pending){.label = label, .wire = wire, .opened = bit->delta, .count = n, .ring = 1, .ulp = -1});
}

struct sec_masked_bit sec_masked_bit_slice(struct sec_masked_bit bit, size_t first, size_t count)
{
    uint64_t **part[] = {&bit.delta, &bit.rho, &bit.x};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        if (*part[i] != NULL)
            *part[i] += first;
    bit.count = count;
    return bit;
}

/* --- using a masked bit --------------------------------------------------------------------------------------------------------- */

struct mpc_cost sec_bit_to_wire_cost(size_t n, int ring)
{
    return mpc_cost_add(mpc_open_share_cost(n, ring, 0), (struct mpc_cost){0, 0, mpc_bits(n, ring)});
}

/* Shares of rho: P0's word, dealt; or made by two. NULL where there are none. */
static uint64_t *rho_shares(struct mpc_party *p, struct sec_masked_bit bit, int ring)
{
    if (p->maker == NULL)
        return mpc_deal(p, bit.count, ring, bit.rho);
    mpc_note_bits(p, (struct mpc_bits_form){.count = bit.count, .bits = 1, .ring = ring}, bit.rho);
    return mpc_reads_made(p) ? mpc_made(p, bit.count, ring) : NULL;
}

struct mpc_wire sec_bit_to_wire(struct mpc_party *p, struct sec_masked_bit bit, int ring, const char *label)
{
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    if (p->maker == NULL)
        sec_declare_dealt(p, sec_bit_to_wire_cost(bit.count, ring));
    uint64_t *share = p->role == MPC_CLEAR ? bit.x : rho_shares(p, bit, ring);
    for (size_t i = 0; mpc_computes(p) && !mpc_failed(p) && i < bit.count; i++)
        share[i] = (p->role == MPC_LEFT ? bit.delta[i] : 0) + (1 - 2 * bit.delta[i]) * share[i];
    return mpc_open_share(p, share, bit.count, (struct mpc_opening_form){.ring = ring, .ulp = -1, .label = label});
}

struct mpc_cost sec_select_cost(size_t n, size_t group, int ring)
{
    return mpc_cost_add(mpc_open_share_cost(n, ring, 0), (struct mpc_cost){0, 0, mpc_bits(n / group, ring) + mpc_bits(n, ring)});
}

/* P0: the product of rho and the mask, dealt after rho itself. */
static void deal_products(struct mpc_party *p, const struct sec_masked_bit *bit, const struct mpc_wire *v, size_t group)
{
    const uint64_t *mask = mpc_mask(p, v);
    uint64_t *product = mpc_words(p, v->count);
    for (size_t i = 0; !mpc_failed(p) && i < v->count; i++)
        product[i] = bit->rho[i / group] * mask[i];
    if (!mpc_failed(p)) {
        mpc_deal(p, bit->count, v->ring, bit->rho);
        mpc_deal(p, v->count, v->ring, product);
    }
}

struct mpc_wire sec_select(struct mpc_party *p, struct sec_masked_bit bit, struct mpc_wire v, size_t group, const char *label)
{
    size_t n = v.count;
    if (!mpc_failed(p) && (v.gate_only || bit.count * group != n))
        mpc_fail(p, BASE_ERR_INTERNAL, "%s: %zu bits select among %zu elements in groups of %zu%s", label, bit.count, n, group,
                 v.gate_only ? " of a gate-only wire" : "");
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    sec_declare_dealt(p, sec_select_cost(n, group, v.ring));
    uint64_t *share = NULL;
    if (p->role == MPC_HELPER) {
        deal_products(p, &bit, &v, group);
    } else if (p->role == MPC_CLEAR) {
        share = mpc_words(p, n);
        for (size_t i = 0; share != NULL && i < n; i++)
            share[i] = bit.x[i / group] * v.x[i];
    } else if (mpc_computes(p)) {
        const uint64_t *rho = mpc_deal(p, bit.count, v.ring, NULL);
        share = mpc_deal(p, n, v.ring, NULL);
        for (size_t i = 0; !mpc_failed(p) && i < n; i++) {
            uint64_t delta = bit.delta[i / group], own = p->role == MPC_RIGHT ? v.m[i] - v.l2[i] : 0 - v.l1[i];
            share[i] = delta * own + (1 - 2 * delta) * (rho[i / group] * v.m[i] - share[i]);
        }
    }
    return mpc_open_share(p, share, n, (struct mpc_opening_form){.ring = v.ring, .frac = v.frac, .bound = v.bound, .ulp = -1,
                                                                 .label = label});
}

/* --- conformance: [x < 0] of 20 bits, then the bit as a wire and the bit times pairs of the inputs --------------------------------- */

enum { STANDARD_BITS = 20, STANDARD_RING = 30, STANDARD_INPUT = 40 };

static void sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    const int64_t half = 1 << (STANDARD_BITS - 1), edges[] = {0, -1, 1, half - 1, -half, -half + 1};
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        ret_x[i] = i < sizeof edges / sizeof *edges ? edges[i] : (int64_t)((seed >> 33) % (uint64_t)(2 * half)) - half;
    }
}

static enum base_status run(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    struct sec_masked_bit bit = sec_compare(p, x, STANDARD_BITS, "compare");
    TRY(mpc_round(p));
    (void)sec_select(p, sec_masked_bit_slice(bit, 0, x.count / 2), x, 2, "select");
    *ret = sec_bit_to_wire(p, bit, STANDARD_RING, "bit");
    TRY(mpc_round(p));
out:
    return status;
}

static struct mpc_cost cost(size_t count)
{
    struct mpc_cost total = sec_compare_cost(count, STANDARD_BITS);
    total = mpc_cost_add(total, sec_bit_to_wire_cost(count, STANDARD_RING));
    total = mpc_cost_add(total, sec_select_cost(count, 2, STANDARD_INPUT));
    total.rounds = 2;
    return total;
}

const struct sec_gate sec_gate_compare = {.name = "compare", .source = "specification, compare.py", .input_ring = STANDARD_INPUT,
                                          .input_frac = 0, .input_bound = 19, .unit = 2, .sample = sample, .run = run, .cost = cost};
