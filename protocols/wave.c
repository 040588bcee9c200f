#include "protocols/wave.h"

#include "base/exact.h"
#include "base/memory.h"
#include "base/realmath.h"

#include <math.h>
#include <string.h>

enum {
    FRACTION_WORDS = 17,  /* of A_n cos(n w lambda) */
    FRACTION_PUBLIC = 18, /* of cos(n w m), at most */
    FRACTION_TABLE = 30,
    FRACTION = FRACTION_WORDS + FRACTION_PUBLIC,
};

/* Printed by wave_fit.py: curve, period, span, harmonics, error of the fit, c0, A_n. */
struct wave_set {
    enum sec_curve curve;
    double period, span;
    int harmonics;
    double fit, constant, amplitude[SEC_WAVE_HARMONICS];
};
/* clang-format off */
static const struct wave_set sets[] = {
    /* Narrow ones first: they cost less. */
    {SEC_CURVE_SILU, 32, 7.5, 8, 0x1.0f77cb8cde800p-14, 0x1.ff99e3e2ec1c4p+1, {-0x1.b58f60790c228p+1, -0x1.acb9f7b01c384p-2, -0x1.cfc00e6ba10fcp-4, -0x1.0f45909c97c57p-5, -0x1.35a11d4455c5ep-7, -0x1.787969dca7384p-9, -0x1.8b2a383219769p-11, -0x1.3398f124732f0p-12}},
    {SEC_CURVE_SILU, 64, 22.5, 15, 0x1.79e8cd3148000p-13, 0x1.fffd19d9c2321p+2, {-0x1.a55c8a212a287p+2, -0x1.97e7287a60d8cp-1, -0x1.36679f65ae474p-2, -0x1.2f7a1fa15a737p-3, -0x1.3ea615236ae6dp-4, -0x1.55236da59b74dp-5, -0x1.6e3336f3f42bdp-6, -0x1.8c33115338530p-7, -0x1.adeffc3727f24p-8, -0x1.c97550240ff45p-9, -0x1.eac93771853e6p-10, -0x1.11e8bf794d195p-10, -0x1.3545745551731p-11, -0x1.52e7232e0b438p-12, -0x1.d72be89038e67p-14}},
    {SEC_CURVE_GELU, 32, 11, 10, 0x1.77fa1ebea0000p-15, 0x1.fffffff0715a6p+1, {-0x1.a6c5ba039fe26p+1, -0x1.a1cf81f6d7f46p-2, -0x1.426f74375e88ap-3, -0x1.30cbc10142885p-4, -0x1.1b3825d50ee0cp-5, -0x1.dee16153518b0p-7, -0x1.6655017eeecaap-8, -0x1.dac2449185580p-10, -0x1.1d5f4ad3f0800p-11, -0x1.5b78c8cb03500p-13}},
    {SEC_CURVE_GELU, 64, 26, 18, 0x1.348f289124000p-13, 0x1.00000001b0213p+3, {-0x1.a0fe78452f3aap+2, -0x1.7fde78637455fp-1, -0x1.24342ddfcfa9cp-2, -0x1.3b30b0c1f9079p-3, -0x1.8b79a34115b2ep-4, -0x1.09b1e5548982fp-4, -0x1.6e670c091f931p-5, -0x1.fa44a8f5a80b1p-6, -0x1.5975399e1fa4ep-6, -0x1.cd8dddf250c8bp-7, -0x1.2c344b010a1e1p-7, -0x1.7afca34f78509p-8, -0x1.cf9a1334e4727p-9, -0x1.12c0fd996589cp-9, -0x1.3c0996bbca4f2p-10, -0x1.61dd8c258d2acp-11, -0x1.836a235a8d600p-12, -0x1.22272b3464800p-12}},
};
/* clang-format on */

/* Bits that the public factor of a harmonic needs: FRACTION_PUBLIC less the binary logarithm of 4 / |A|, and
 * two at least. */
static int bits_for(double amplitude)
{
    int bits = FRACTION_PUBLIC;
    for (double a = fabs(amplitude) / 4; a <= 0.5 && bits > 2; a *= 2)
        bits--;
    return bits;
}

int sec_wave_ring(double span)
{
    int bits = 0;
    while (base_power_of_two(bits) < span)
        bits++;
    return SEC_WAVE_OUTPUT + bits + 2;
}

/* The narrowest set of a curve that reaches `largest`; NULL: none does. */
static const struct wave_set *set_of(enum sec_curve curve, double largest)
{
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (sets[i].curve == curve && largest <= sets[i].span)
            return &sets[i];
    return NULL;
}

int sec_wave_widest_ring(double largest)
{
    int widest = 0;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (&sets[i] == set_of(sets[i].curve, largest) && sec_wave_ring(sets[i].span) > widest)
            widest = sec_wave_ring(sets[i].span);
    return widest;
}

static enum base_status make_table(struct sec_wave *gate, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t period = (size_t)1 << gate->log_period;
    int32_t *whole = NULL;
    TRY(base_alloc(&whole, period, sizeof *whole, error));
    TRY(base_exact_cosines(whole, gate->log_period, FRACTION_TABLE, error));
    TRY(base_alloc(&gate->cosine, sec_wave_table_size(gate), sizeof *gate->cosine, error));
    memcpy(gate->cosine, whole, sec_wave_table_size(gate) * sizeof *whole);
out:
    base_free(&whole);
    return status;
}

size_t sec_wave_table_size(const struct sec_wave *gate)
{
    return ((size_t)1 << (gate->log_period - 2)) + 1;
}

enum base_status sec_wave_init(struct sec_wave *ret, enum sec_curve curve, double largest,
                               struct base_error *error)
{
    const struct wave_set *set = set_of(curve, largest);
    if (set == NULL)
        return base_fail(error, BASE_ERR_RANGE, "no wave of the activation reaches %.1f: use its segments",
                         largest);
    struct sec_wave gate = {.curve = curve,
                            .span = set->span,
                            .harmonics = set->harmonics,
                            .f = FRACTION - SEC_WAVE_OUTPUT,
                            .log_period = SEC_WAVE_INPUT,
                            .constant = (uint64_t)base_nearest(set->constant * base_power_of_two(FRACTION)),
                            .error = set->fit};
    gate.k = sec_wave_ring(set->span);
    gate.ring = gate.k + gate.f;
    while (base_power_of_two(gate.log_period - SEC_WAVE_INPUT) < set->period)
        gate.log_period++;
    double rounding = 0;
    for (int n = 0; n < set->harmonics; n++) {
        gate.amplitude[n] = set->amplitude[n];
        gate.bits[n] = bits_for(set->amplitude[n]);
        rounding += 1.42 * (base_power_of_two(-FRACTION_WORDS - 1) +
                            fabs(set->amplitude[n]) * base_power_of_two(-gate.bits[n] - 1));
    }
    gate.error += rounding;
    gate.ulp = rounding * base_power_of_two(SEC_WAVE_OUTPUT) + 0.5;
    enum base_status status = make_table(&gate, error);
    if (status == BASE_OK)
        *ret = gate;
    else
        sec_wave_finish(&gate);
    return status;
}

void sec_wave_finish(struct sec_wave *gate)
{
    base_free(&gate->cosine);
}

static int word_ring(const struct sec_wave *gate, int n)
{
    return gate->ring - (FRACTION_PUBLIC - gate->bits[n]);
}

struct mpc_cost sec_wave_cost(const struct sec_wave *gate, size_t n)
{
    struct mpc_cost cost = mpc_open_share_cost(n, gate->ring, gate->f);
    for (int h = 0; h < gate->harmonics; h++)
        cost.offline += 2 * mpc_bits(n, word_ring(gate, h));
    return cost;
}

/* One element's cos and sin of the odd multiples of an angle, one after the other: c_(n+2) = c_n cos 2a - s_n
 * sin 2a. No branch and no index depends on the angle. */
struct spin {
    double cosine, sine, cosine2, sine2;
};

static struct spin start_spin(uint64_t angle, int log_period)
{
    struct spin s;
    base_cos_sin(angle << (64 - log_period), &s.cosine, &s.sine);
    s.cosine2 = s.cosine * s.cosine - s.sine * s.sine;
    s.sine2 = 2 * s.cosine * s.sine;
    return s;
}

static void step_spin(struct spin *s)
{
    double cosine = s->cosine * s->cosine2 - s->sine * s->sine2;
    s->sine = s->sine * s->cosine2 + s->cosine * s->sine2;
    s->cosine = cosine;
}

static uint64_t *clear(struct mpc_party *p, const struct sec_wave *gate, const uint64_t *x, size_t n)
{
    uint64_t *psi = mpc_words(p, n);
    int64_t limit = (int64_t)(gate->span * base_power_of_two(SEC_WAVE_INPUT));
    double scale = base_power_of_two(SEC_WAVE_OUTPUT),
           constant = (double)gate->constant * base_power_of_two(-FRACTION);
    mpc_check_range(p, "activation input", x, n, -limit, limit);
    for (size_t i = 0; psi != NULL && i < n; i++) {
        struct spin s = start_spin(x[i], gate->log_period);
        double value = constant;
        for (int h = 0; h < gate->harmonics; h++, step_spin(&s))
            value += gate->amplitude[h] * s.cosine;
        psi[i] = (uint64_t)base_nearest(value * scale);
    }
    return psi;
}

static void deal(struct mpc_party *p, const struct sec_wave *gate, const uint64_t *mask, size_t n)
{
    struct spin *spin = mpc_bytes(p, n * sizeof *spin);
    uint64_t *words = mpc_words(p, n);
    if (mpc_failed(p))
        return;
    for (size_t i = 0; i < n; i++)
        spin[i] = start_spin(mask[i], gate->log_period);
    for (int h = 0; h < gate->harmonics; h++) {
        double scale = gate->amplitude[h] * base_power_of_two(FRACTION_WORDS);
        size_t mark = base_arena_mark(&p->arena);
        for (size_t i = 0; i < n; i++)
            words[i] = (uint64_t)base_nearest(spin[i].cosine * scale);
        (void)mpc_deal(p, n, word_ring(gate, h), words);
        for (size_t i = 0; i < n; i++) {
            words[i] = (uint64_t)base_nearest(spin[i].sine * scale);
            step_spin(&spin[i]);
        }
        (void)mpc_deal(p, n, word_ring(gate, h), words);
        base_arena_release(&p->arena, mark);
    }
}

static uint64_t *eval(struct mpc_party *p, const struct sec_wave *gate, const uint64_t *m, size_t n)
{
    uint64_t *share = mpc_words(p, n), quarter = (uint64_t)1 << (gate->log_period - 2);
    for (size_t i = 0; share != NULL && i < n; i++)
        share[i] = p->role == MPC_LEFT ? gate->constant : 0;
    for (int h = 0; h < gate->harmonics && !mpc_failed(p); h++) {
        size_t mark = base_arena_mark(&p->arena);
        uint64_t multiple = 2 * (uint64_t)h + 1;
        for (int part = 0; part < 2; part++) { /* cos, then sin: a quarter of a turn behind */
            const uint64_t *word = mpc_deal(p, n, word_ring(gate, h), NULL);
            struct kern_turn turn = {.quarter = gate->cosine,
                                     .log_period = gate->log_period,
                                     .multiple = multiple,
                                     .offset = part == 0 ? 0 : quarter,
                                     .down = FRACTION_TABLE - gate->bits[h],
                                     .up = FRACTION_PUBLIC - gate->bits[h]};
            if (word != NULL)
                p->kern->turn_add(share, word, m, n, &turn);
        }
        base_arena_release(&p->arena, mark);
    }
    return share;
}

struct mpc_wire sec_wave_eval(struct mpc_party *p, const struct sec_wave *gate, struct mpc_wire g,
                              const char *label)
{
    struct mpc_opening_form form = {.ring = gate->ring,
                                    .f = gate->f,
                                    .frac = SEC_WAVE_OUTPUT,
                                    .bound = gate->k - 2,
                                    .ulp = gate->ulp,
                                    .label = label};
    if (!mpc_failed(p) && (g.ring < gate->k || g.frac != SEC_WAVE_INPUT || g.gate_only))
        mpc_fail(p, BASE_ERR_INTERNAL,
                 "%s: a wire of %d bits with %d fraction bits does not enter a wave of %d and %d", label,
                 g.ring, g.frac, gate->k, SEC_WAVE_INPUT);
    sec_declare_dealt(p, sec_wave_cost(gate, g.count));
    g = mpc_reduce(p, g, gate->k);
    const uint64_t *share = NULL;
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    if (p->role == MPC_HELPER)
        deal(p, gate, mpc_mask(p, &g), g.count);
    else if (p->role == MPC_CLEAR)
        share = clear(p, gate, g.x, g.count);
    else if (mpc_computes(p))
        share = eval(p, gate, g.m, g.count);
    return mpc_open_share(p, share, g.count, form);
}

struct mpc_wire sec_wave_add(struct mpc_party *p, const struct sec_wave *gate, struct mpc_wire psi,
                             struct mpc_wire g)
{
    g = mpc_reduce(p, g, gate->k);
    g.frac = SEC_WAVE_OUTPUT;
    return mpc_add(p, psi, g, 1, gate->k - 2);
}

/* --- conformance --------------------------------------------------------------------------------------- */

enum { SAMPLE_SPAN = 22 };

static void sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    const int64_t limit = (int64_t)SAMPLE_SPAN << SEC_WAVE_INPUT,
                  edges[] = {-limit, limit, 0, -1, 1, limit - 1};
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        ret_x[i] = i < sizeof edges / sizeof *edges ? edges[i]
                                                    : (int64_t)((seed >> 33) % (uint64_t)(2 * limit)) - limit;
    }
}

static enum base_status run(struct mpc_party *p, enum sec_curve curve, struct mpc_wire x,
                            struct mpc_wire *ret)
{
    struct sec_wave gate = {0};
    enum base_status status = BASE_OK;
    TRY(sec_wave_init(&gate, curve, SAMPLE_SPAN, &p->error));
    struct mpc_wire psi = sec_wave_eval(p, &gate, x, "wave");
    TRY(mpc_round(p));
    *ret = sec_wave_add(p, &gate, psi, x);
out:
    sec_wave_finish(&gate);
    return status;
}

static struct mpc_cost cost_of(enum sec_curve curve, size_t count)
{
    struct sec_wave gate = {0};
    struct mpc_cost cost = {0};
    if (sec_wave_init(&gate, curve, SAMPLE_SPAN, NULL) == BASE_OK)
        cost = sec_wave_cost(&gate, count);
    cost.rounds = 1;
    sec_wave_finish(&gate);
    return cost;
}

static enum base_status run_silu(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    return run(p, SEC_CURVE_SILU, x, ret);
}

static enum base_status run_gelu(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    return run(p, SEC_CURVE_GELU, x, ret);
}

static struct mpc_cost cost_silu(size_t count)
{
    return cost_of(SEC_CURVE_SILU, count);
}

static struct mpc_cost cost_gelu(size_t count)
{
    return cost_of(SEC_CURVE_GELU, count);
}

const struct sec_gate sec_gate_silu_wave = {.name = "silu-wave",
                                            .source = "specification, dealt.py: Wave",
                                            .input_ring = 26,
                                            .input_frac = SEC_WAVE_INPUT,
                                            .input_bound = 18,
                                            .unit = 1,
                                            .sample = sample,
                                            .run = run_silu,
                                            .cost = cost_silu};
const struct sec_gate sec_gate_gelu_wave = {.name = "gelu-wave",
                                            .source = "specification, dealt.py: Wave",
                                            .input_ring = 26,
                                            .input_frac = SEC_WAVE_INPUT,
                                            .input_bound = 18,
                                            .unit = 1,
                                            .sample = sample,
                                            .run = run_gelu,
                                            .cost = cost_gelu};
