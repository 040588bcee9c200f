#include "protocols/exp_two.h"

#include "base/memory.h"
#include "base/realmath.h"

enum {
    CHUNK = 1 << 16,  /* elements per message: a multiple of 4, so that all its fields are whole bytes */
    POINT = 56,       /* fraction bits of t */
    SIGNIFICANT = 49, /* fraction bits of the mantissa of a power, which is below 2^50 */
    BELOW = 2,        /* powers of two below 2^-BELOW round to zero */
    SPARE = SIGNIFICANT + BELOW
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

static int limb_bits(const struct sec_exp_two *gate, int limb)
{
    int rest = gate->wide - limb * 64;
    return rest < 64 ? rest : 64;
}

static bool fits(struct sec_exp_two_form form)
{
    bool well = form.s >= 1 && form.s <= SEC_EXP_TWO_MOST_BITS && form.t >= 0.125 && form.t <= 240;
    well = well && form.w >= 1 && form.w <= SEC_EXP_TWO_MOST_MANTISSA;
    return well && form.ring <= 64 && form.fo >= 0 && form.fo < form.ring &&
           measures(form).wide <= SEC_EXP_TWO_LIMBS * 64;
}

/* --- powers of two ------------------------------------------------------------------------------- */

static uint64_t equal(uint64_t a, uint64_t b)
{
    uint64_t differ = a ^ b;
    return ((differ | (0 - differ)) >> 63) - 1;
}

/* round(2^x) mod 2^(64 limbs) for x with `point` fraction bits, x < 300. No branch, no address and no loop
 * depends on x: each limb takes its part of the mantissa by a mask. */
static void power(uint64_t *ret, int limbs, __int128 x, int point)
{
    int64_t whole = (int64_t)(x >> point),
            rest = (int64_t)((uint64_t)(x >> (point - 52)) & kern_ring_mask(52));
    double real = base_exp((double)rest * base_power_of_two(-52) * 0x1.62e42fefa39efp-1);
    uint64_t mantissa = (uint64_t)base_nearest(real * base_power_of_two(SIGNIFICANT));
    /* The mantissa goes `place` bits up, in units of 2^-SPARE; below 2^-BELOW there is nothing. */
    int64_t above = whole + BELOW;
    uint64_t some = ~(uint64_t)(above >> 63), place = (uint64_t)above & some;
    mantissa &= some;
    uint64_t low = mantissa << (place & 63), high = (mantissa >> 1) >> (63 - (place & 63));
    uint64_t value[SEC_EXP_TWO_LIMBS + 1];
    for (int l = 0; l <= limbs; l++) {
        uint64_t from = (place >> 6) - (uint64_t)l; /* 0: the low part lies here; -1: the high part */
        value[l] = (low & equal(from, 0)) | (high & equal(from, ~UINT64_C(0)));
    }
    unsigned __int128 carry = (uint64_t)1 << (SPARE - 1);
    for (int l = 0; l <= limbs; l++) {
        carry += value[l];
        value[l] = (uint64_t)carry;
        carry >>= 64;
    }
    for (int l = 0; l < limbs; l++)
        ret[l] = value[l] >> SPARE | value[l + 1] << (64 - SPARE);
}

/* round(2^(fo - t + u units)): a word of P0, or the twin's e. */
static void power_at(const struct sec_exp_two *gate, uint64_t units, uint64_t *ret, int limbs)
{
    int point = fraction_of(gate);
    __int128 floor = ((__int128)gate->form.fo << point) - ((__int128)gate->range << gate->form.s);
    power(ret, limbs, floor + (__int128)bits_of(gate, units), point);
}

static struct sec_exp_two_factor factor_at(const struct sec_exp_two *gate, uint64_t j)
{
    int point = fraction_of(gate);
    unsigned __int128 y = bits_of(gate, j), whole = y >> point << point;
    uint64_t mantissa;
    power(&mantissa, 1, ((__int128)gate->form.w << point) - (__int128)(y - whole), point);
    return (struct sec_exp_two_factor){.mantissa = (uint32_t)mantissa,
                                       .shift = (uint32_t)(y >> point) + (uint32_t)gate->form.w};
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
    for (size_t j = 0; j < count; j++)
        gate.factor[j] = factor_at(&gate, j);
    *ret = gate;
    return BASE_OK;
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
    struct mpc_cost cost = mpc_open_share_cost(n, form.ring, 0);
    for (int l = 0; l < gate.limbs; l++)
        cost.offline += mpc_bits(2 * n, limb_bits(&gate, l));
    return cost;
}

/* --- the gate ------------------------------------------------------------------------------------ */

static uint64_t *clear(struct mpc_party *p, const struct sec_exp_two *gate, const uint64_t *y, size_t n)
{
    uint64_t *e = mpc_words(p, n), units = UINT64_C(1) << gate->form.s;
    mpc_check_range(p, "exp input", y, n, 0, (int64_t)units - 1);
    for (size_t i = 0; e != NULL && i < n; i++)
        power_at(gate, (units - y[i]) & (2 * units - 1), &e[i], 1);
    return e;
}

/* fo + u b - t ((i - a) mod 2) = fo - t + u (lambda with its high bit turned over if i = 0). */
static void deal(struct mpc_party *p, const struct sec_exp_two *gate, const uint64_t *mask, size_t n)
{
    uint64_t turn = UINT64_C(1) << gate->form.s;
    for (size_t at = 0; at < n && !mpc_failed(p); at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK, mark = base_arena_mark(&p->arena);
        uint64_t *words = mpc_words(p, (size_t)gate->limbs * 2 * count), value[SEC_EXP_TWO_LIMBS];
        for (size_t k = 0; words != NULL && k < 2 * count; k++) {
            power_at(gate, mask[at + k / 2] ^ (k % 2 == 0 ? turn : 0), value, gate->limbs);
            for (int l = 0; l < gate->limbs; l++)
                words[(size_t)l * 2 * count + k] = value[l];
        }
        if (words != NULL)
            (void)mpc_deal_limbs(p, 2 * count, gate->limbs, gate->wide, words);
        base_arena_release(&p->arena, mark);
    }
}

/* (word mantissa + 2^(shift - 1)) >> shift, its low 64 bits. What lies above R bits is not reduced: the
 * result is cut to `ring` bits, and those come from below R. */
static uint64_t times(const uint64_t *word, int limbs, struct sec_exp_two_factor factor)
{
    uint64_t product[SEC_EXP_TWO_LIMBS + 1];
    unsigned __int128 carry = 0;
    for (int l = 0; l < limbs; l++) {
        carry += (unsigned __int128)word[l] * factor.mantissa;
        product[l] = (uint64_t)carry;
        carry >>= 64;
    }
    product[limbs] = (uint64_t)carry;
    uint32_t from = factor.shift / 64, by = factor.shift % 64, half = factor.shift - 1;
    uint64_t kept = product[from] >> by | product[from + 1] << 1 << (63 - by);
    return kept + ((product[half / 64] >> (half % 64)) & 1);
}

static uint64_t *eval(struct mpc_party *p, const struct sec_exp_two *gate, const uint64_t *m, size_t n)
{
    uint64_t *share = mpc_words(p, n);
    for (size_t at = 0; at < n && !mpc_failed(p); at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK, mark = base_arena_mark(&p->arena);
        const uint64_t *words = mpc_deal_limbs(p, 2 * count, gate->limbs, gate->wide, NULL);
        uint64_t word[SEC_EXP_TWO_LIMBS];
        for (size_t i = 0; !mpc_failed(p) && i < count; i++) {
            uint64_t high = m[at + i] >> gate->form.s, j = m[at + i] & kern_ring_mask(gate->form.s);
            for (int l = 0; l < gate->limbs; l++)
                word[l] = words[(size_t)l * 2 * count + 2 * i + high];
            share[at + i] = times(word, gate->limbs, gate->factor[j]);
        }
        base_arena_release(&p->arena, mark);
    }
    return share;
}

struct mpc_wire sec_exp_two_eval(struct mpc_party *p, const struct sec_exp_two *gate, struct mpc_wire y,
                                 const char *label)
{
    size_t n = y.count;
    struct sec_exp_two_form form = gate->form;
    struct mpc_opening_form opening = {.ring = form.ring,
                                       .frac = form.fo,
                                       .bound = form.fo,
                                       .label = label,
                                       .ulp = base_power_of_two(form.fo - form.w) + 1};
    sec_declare_dealt(p, sec_exp_two_cost(form, n));
    if (p->role == MPC_HELPER)
        deal(p, gate, sec_read_mask(p, y, form.s + 1), n);
    const uint64_t *m = sec_read_open(p, y, form.s + 1, 0), *share = NULL;
    if (p->role == MPC_CLEAR)
        share = clear(p, gate, m, n);
    else if (mpc_computes(p))
        share = eval(p, gate, m, n);
    return mpc_open_share(p, share, n, opening);
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
