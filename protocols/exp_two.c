#include "protocols/exp_two.h"

#include "base/memory.h"
#include "base/realmath.h"

#include <string.h>

enum {
    CHUNK = 1 << 16,  /* elements per message: a multiple of 4, so that all its fields are whole bytes */
    POINT = 54,       /* fraction bits of t */
    SIGNIFICANT = 49, /* fraction bits of the mantissa of a power, which is at most 2^50 */
    BELOW_ALL = 62,   /* a mantissa shifted down by this rounds to zero */
    BATCH = 128       /* powers made together */
};

/* --- form ---------------------------------------------------------------------------------------- */

static uint64_t range_of(struct sec_exp_two_form form)
{
    return (uint64_t)(form.t * base_power_of_two(POINT));
}

/* u times `units`, with POINT + s fraction bits: exact. */
static unsigned __int128 bits_of(const struct sec_exp_two *gate, uint64_t units)
{
    return (unsigned __int128)gate->range * units;
}

static int fraction_of(const struct sec_exp_two *gate)
{
    return POINT + gate->form.s;
}

static struct sec_exp_two measures(struct sec_exp_two_form form)
{
    struct sec_exp_two gate = {.form = form, .range = range_of(form)};
    gate.wide = form.ring + form.w + (int)(bits_of(&gate, (UINT64_C(1) << form.s) - 1) >> fraction_of(&gate));
    gate.limbs = (gate.wide + 63) / 64;
    return gate;
}

static bool fits(struct sec_exp_two_form form)
{
    bool well = form.s >= 1 && form.s <= SEC_EXP_TWO_MOST_BITS && form.t >= 0.125 && form.t <= SEC_EXP_TWO_MOST_RANGE;
    well = well && form.w >= 1 && form.w <= SEC_EXP_TWO_MOST_MANTISSA;
    return well && form.ring <= 64 && form.fo >= 0 && form.fo < form.ring &&
           measures(form).wide <= SEC_EXP_TWO_LIMBS * 64;
}

/* --- powers of two ------------------------------------------------------------------------------- */

/* round(2^(SIGNIFICANT + x)) for x in [0, 1) with 52 fraction bits, from the series of exp around 1/2. Its
 * relative error is below 2^-50. No branch: a loop over it becomes vectors. */
static uint64_t mantissa_of(uint64_t fraction)
{
    /* 1 / 13! to 1 / 2! */
    static const double coefficient[] = {0x1.6124613a86d09p-33, 0x1.1eed8eff8d898p-29, 0x1.ae64567f544e4p-26,
                                         0x1.27e4fb7789f5cp-22, 0x1.71de3a556c734p-19, 0x1.a01a01a01a01ap-16,
                                         0x1.a01a01a01a01ap-13, 0x1.6c16c16c16c17p-10, 0x1.1111111111111p-7,
                                         0x1.5555555555555p-5,  0x1.5555555555555p-3,  0x1.0000000000000p-1};
    const double root_of_two = 0x1.6a09e667f3bcdp0, ln2 = 0x1.62e42fefa39efp-1;
    uint64_t bits = fraction | UINT64_C(1023) << 52;
    double x;
    memcpy(&x, &bits, sizeof x);
    double z = (x - 1.5) * ln2, y = coefficient[0];
    for (unsigned i = 1; i < sizeof coefficient / sizeof *coefficient; i++)
        y = y * z + coefficient[i];
    return (uint64_t)base_nearest((1 + (z + z * z * y)) *
                                  (root_of_two * (double)(INT64_C(1) << SIGNIFICANT)));
}

/* ret[l stride] = round(mantissa 2^(whole - SIGNIFICANT)) mod 2^(64 limbs), whole < 512. No branch, no
 * address and no loop depends on the mantissa and on whole: each limb takes its part by a mask. These masks are
 * bits of one word, no difference to l: of such a difference compilers make the loop's own counter. */
static void place(uint64_t mantissa, int64_t whole, uint64_t *ret, size_t stride, int limbs)
{
    int64_t up = whole - SIGNIFICANT, sign = up >> 63;
    uint64_t left = (uint64_t)(up & ~sign), down = (uint64_t)(-up & sign), most = down - BELOW_ALL;
    down = BELOW_ALL + (most & (uint64_t)((int64_t)most >> 63));
    mantissa = (mantissa + (UINT64_C(1) << down >> 1)) >> down;
    uint64_t low = mantissa << (left & 63), high = (mantissa >> 1) >> (63 - (left & 63));
    uint64_t here = UINT64_C(1) << (left >> 6), next = here << 1; /* the limbs of the low part and of the high one */
    for (int l = 0; l < limbs; l++)
        ret[(size_t)l * stride] = (low & (0 - (here >> l & 1))) | (high & (0 - (next >> l & 1)));
}

/* round(2^(fo - t + u units)), words of P0 or the twin's e: units [n] -> ret [limbs][stride], stride >= n;
 * ret may be units. */
static void powers(const struct sec_exp_two *gate, const uint64_t *units, size_t n, uint64_t *ret,
                   size_t stride, int limbs)
{
    int point = fraction_of(gate);
    __int128 floor = ((__int128)gate->form.fo << point) - ((__int128)gate->range << gate->form.s);
    uint64_t mantissa[BATCH];
    int64_t whole[BATCH];
    for (size_t at = 0; at < n; at += BATCH) {
        size_t count = n - at < BATCH ? n - at : BATCH;
        for (size_t i = 0; i < count; i++) {
            __int128 x = floor + (__int128)bits_of(gate, units[at + i]);
            whole[i] = (int64_t)(x >> point);
            mantissa[i] = (uint64_t)(x >> (point - 52)) & kern_ring_mask(52);
        }
        for (size_t i = 0; i < count; i++)
            mantissa[i] = mantissa_of(mantissa[i]);
        for (size_t i = 0; i < count; i++)
            place(mantissa[i], whole[i], ret + at + i, stride, limbs);
    }
}

enum base_status sec_exp_two_init(struct sec_exp_two *ret, struct sec_exp_two_form form,
                                  struct base_error *error)
{
    if (!fits(form))
        return base_fail(
            error, BASE_ERR_RANGE,
            "exp: 2^%d units over %.2f bits, with %d mantissa and %d fraction bits in a ring of %d, need a "
            "word of more than %d limbs or leave their limits: recompute the plan",
            form.s, form.t, form.w, form.fo, form.ring, SEC_EXP_TWO_LIMBS);
    struct sec_exp_two gate = measures(form);
    size_t count = (size_t)1 << form.s;
    enum base_status status = base_alloc(&gate.factor, count, sizeof *gate.factor, error);
    if (status != BASE_OK)
        return status;
    status = base_exact_powers(gate.factor, count, gate.range, fraction_of(&gate), form.w, error);
    if (status == BASE_OK)
        *ret = gate;
    else
        sec_exp_two_finish(&gate);
    return status;
}

bool sec_exp_two_same(const struct sec_exp_two_form *a, const struct sec_exp_two_form *b)
{
    return a->s == b->s && range_of(*a) == range_of(*b) && a->w == b->w && a->fo == b->fo && a->ring == b->ring;
}

void sec_exp_two_finish(struct sec_exp_two *gate)
{
    base_free(&gate->factor);
}

struct mpc_cost sec_exp_two_cost(struct sec_exp_two_form form, size_t n)
{
    struct sec_exp_two gate = measures(form);
    return mpc_cost_add(mpc_open_share_cost(n, form.ring, 0),
                        mpc_deal_limbs_cost(2 * n, gate.limbs, gate.wide));
}

/* --- the gate ------------------------------------------------------------------------------------ */

static uint64_t *clear(struct mpc_party *p, const struct sec_exp_two *gate, const uint64_t *y, size_t n)
{
    uint64_t *e = mpc_words(p, n), units = UINT64_C(1) << gate->form.s;
    mpc_check_range(p, "exp input", y, n, 0, (int64_t)units - 1);
    for (size_t i = 0; e != NULL && i < n; i++)
        e[i] = (units - y[i]) & (2 * units - 1);
    if (e != NULL)
        powers(gate, e, n, e, n, 1);
    return e;
}

/* fo + u b - t ((i - a) mod 2) = fo - t + u (lambda with its high bit turned over if i = 0). */
static void deal(struct mpc_party *p, const struct sec_exp_two *gate, const uint64_t *mask, size_t n)
{
    uint64_t turn = UINT64_C(1) << gate->form.s;
    for (size_t at = 0; at < n && !mpc_failed(p); at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK, mark = base_arena_mark(&p->arena);
        uint64_t *words = mpc_words(p, (size_t)gate->limbs * 2 * count);
        for (size_t i = 0; words != NULL && i < count; i++) {
            words[2 * i] = mask[at + i] ^ turn;
            words[2 * i + 1] = mask[at + i];
        }
        if (words != NULL)
            powers(gate, words, 2 * count, words, 2 * count, gate->limbs);
        if (words != NULL)
            (void)mpc_deal_limbs(p, 2 * count, gate->limbs, gate->wide, words);
        base_arena_release(&p->arena, mark);
    }
}

static uint64_t *eval(struct mpc_party *p, const struct sec_exp_two *gate, const uint64_t *m, size_t n)
{
    uint64_t *share = mpc_words(p, n);
    for (size_t at = 0; at < n && !mpc_failed(p); at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK, mark = base_arena_mark(&p->arena);
        const uint64_t *words = mpc_deal_limbs(p, 2 * count, gate->limbs, gate->wide, NULL);
        /* What lies above R bits is not reduced: the result is cut to `ring` bits, and those come from below R. */
        if (!mpc_failed(p))
            p->kern->power_words(share + at, words, 2 * count, gate->limbs, m + at, count, gate->factor, gate->form.s);
        base_arena_release(&p->arena, mark);
    }
    return share;
}

uint64_t *sec_exp_two_shares(struct mpc_party *p, const struct sec_exp_two *gate, struct mpc_wire y,
                             struct mpc_opening_form *ret_form, const char *label)
{
    size_t n = y.count;
    struct sec_exp_two_form form = gate->form;
    *ret_form = (struct mpc_opening_form){.ring = form.ring,
                                          .frac = form.fo,
                                          .bound = form.fo,
                                          .label = label,
                                          .ulp = base_power_of_two(form.fo - form.w) + 1};
    sec_declare_dealt(p, sec_exp_two_cost(form, n));
    if (p->role == MPC_HELPER)
        deal(p, gate, sec_read_mask(p, y, form.s + 1), n);
    const uint64_t *m = sec_read_open(p, y, form.s + 1, 0);
    return p->role == MPC_CLEAR ? clear(p, gate, m, n) : mpc_computes(p) ? eval(p, gate, m, n) : NULL;
}

struct mpc_wire sec_exp_two_eval(struct mpc_party *p, const struct sec_exp_two *gate, struct mpc_wire y,
                                 const char *label)
{
    struct mpc_opening_form form;
    const uint64_t *share = sec_exp_two_shares(p, gate, y, &form, label);
    return mpc_open_share(p, share, y.count, form);
}

/* --- conformance: 44 nats in 2^16 units, and 96 bits in 2^17 units ------------------------------- */

static const struct sec_exp_two_form standard = {.s = 16, .t = 63.5, .w = 14, .fo = 36, .ring = 62};
static const struct sec_exp_two_form far = {.s = 17, .t = 96, .w = 14, .fo = 38, .ring = 64};

static void sample_of(int s, int64_t *ret_x, size_t count, uint64_t seed)
{
    int64_t limit = INT64_C(1) << s;
    const int64_t edges[] = {0, limit - 1, 1, limit / 2, limit / 2 - 1, limit - 2};
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        ret_x[i] = i < sizeof edges / sizeof *edges ? edges[i] : (int64_t)((seed >> 33) % (uint64_t)limit);
    }
}

static enum base_status run_of(struct mpc_party *p, struct sec_exp_two_form form, struct mpc_wire x,
                               struct mpc_wire *ret)
{
    struct sec_exp_two gate = {0};
    enum base_status status = BASE_OK;
    TRY(sec_exp_two_init(&gate, form, &p->error));
    *ret = sec_exp_two_eval(p, &gate, x, "exp");
    TRY(mpc_round(p));
out:
    sec_exp_two_finish(&gate);
    return status;
}

static struct mpc_cost cost_of(struct sec_exp_two_form form, size_t count)
{
    struct mpc_cost total = sec_exp_two_cost(form, count);
    total.rounds = 1;
    return total;
}

static void sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    sample_of(standard.s, ret_x, count, seed);
}

static void sample_far(int64_t *ret_x, size_t count, uint64_t seed)
{
    sample_of(far.s, ret_x, count, seed);
}

static enum base_status run(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    return run_of(p, standard, x, ret);
}

static enum base_status run_far(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    return run_of(p, far, x, ret);
}

static struct mpc_cost cost(size_t count)
{
    return cost_of(standard, count);
}

static struct mpc_cost cost_far(size_t count)
{
    return cost_of(far, count);
}

const struct sec_gate sec_gate_exp_two = {.name = "exp-two",
                                          .source = "specification, dealt.py: ExpTwo",
                                          .input_ring = 20,
                                          .input_frac = 10,
                                          .input_bound = 16,
                                          .unit = 1,
                                          .sample = sample,
                                          .run = run,
                                          .cost = cost};
const struct sec_gate sec_gate_exp_two_long = {.name = "exp-two-long",
                                               .source = "specification, dealt.py: ExpTwo",
                                               .input_ring = 18,
                                               .input_frac = 10,
                                               .input_bound = 17,
                                               .unit = 1,
                                               .sample = sample_far,
                                               .run = run_far,
                                               .cost = cost_far};
