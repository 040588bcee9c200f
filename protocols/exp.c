#include "protocols/exp.h"

#include "base/memory.h"
#include "base/realmath.h"
#include "kernels/gather.h"

#include <math.h>

enum { CHUNK = 2048, BATCH = 16 }; /* keys per dealt message; keys whose expansions stay in cache together */

enum base_status sec_exp_init(struct sec_exp *ret, struct sec_exp_form form, struct base_error *error)
{
    struct sec_exp gate = {.k = form.k, .h = form.h, .s = form.k - form.h, .frac = form.frac, .fb = form.fb, .fe = form.fe,
                           .fo = form.fo, .ring = form.ring, .f = form.fb + form.fe - form.fo, .pair = form.pair};
    double unit = base_power_of_two(-form.frac), cell = unit * base_power_of_two(gate.s), most = form.pair ? 2 * cell : cell;
    if (gate.s < 0 || form.h < 1 || form.k > 26 || gate.f < 0 || form.fb + form.fe + 1.4427 * most > form.ring - 1)
        return base_fail(error, BASE_ERR_RANGE, "exp: %d bits in 2^%d cells of %.1f nats with %d + %d fraction bits do not fit a ring of %d: "
                         "recompute the plan", form.k, form.h, cell, form.fb, form.fe, form.ring);
    /* Two parties round two factors and cut their product: two units of the payload at most where exp(u b) = 1, less of it elsewhere. */
    gate.ulp = base_power_of_two(form.fo - form.fb - (form.pair ? -1 : 1)) + base_power_of_two(form.fo - form.fe - 1) * base_exp(most) + 0.5;
    gate.factor_bits = form.fb + (int)ceil(1.4427 * cell) + 1;
    gate.shape = (struct kern_dpf_shape){.domain_bits = form.h, .groups = 1, .rings = {form.ring}};
    gate.shape.nu = kern_dpf_choose_nu(form.h, form.ring);
    size_t entries = (size_t)1 << form.k;
    enum base_status status = base_alloc(&gate.table, entries, sizeof *gate.table, error);
    if (status != BASE_OK)
        return status;
    double scale = base_power_of_two(form.fe);
    for (size_t i = 0; i < entries; i++)
        gate.table[i] = (uint64_t)base_nearest(base_exp(-unit * (double)i) * scale);
    *ret = gate;
    return BASE_OK;
}

void sec_exp_finish(struct sec_exp *gate)
{
    base_free(&gate->table);
}

struct mpc_cost sec_exp_cost(const struct sec_exp *gate, size_t n)
{
    struct mpc_cost cost = mpc_open_share_cost(n, gate->ring, gate->f);
    cost.offline += 2 * sec_dpf_size(&gate->shape, n);
    return cost;
}

static uint64_t *clear(struct mpc_party *p, const struct sec_exp *gate, const uint64_t *y, size_t n)
{
    uint64_t *e = mpc_words(p, n);
    double unit = base_power_of_two(-gate->frac), scale = base_power_of_two(gate->fo);
    mpc_check_range(p, "exp input", y, n, 0, (INT64_C(1) << gate->k) - (INT64_C(1) << (gate->s + gate->pair)) - 1);
    for (size_t i = 0; e != NULL && i < n; i++)
        e[i] = (uint64_t)base_nearest(base_exp(-unit * (double)(int64_t)y[i]) * scale);
    return e;
}

static void deal(struct mpc_party *p, const struct sec_exp *gate, const uint64_t *mask, size_t n)
{
    uint8_t *root1, *root2;
    sec_roots(p, n, &root1, &root2);
    uint64_t *a = mpc_words(p, CHUNK), *beta = mpc_words(p, CHUNK);
    double unit = base_power_of_two(-gate->frac), scale = base_power_of_two(gate->fb);
    for (size_t at = 0; at < n && !mpc_failed(p); at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK, mark = base_arena_mark(&p->arena);
        for (size_t i = 0; i < count; i++) {
            uint64_t b = mask[at + i] & kern_ring_mask(gate->s);
            a[i] = mask[at + i] >> gate->s;
            beta[i] = (uint64_t)base_nearest(base_exp(unit * (double)(int64_t)b) * scale);
        }
        sec_dpf_deal(p, &gate->shape, count, a, beta, root1 + 16 * at, root2 + 16 * at);
        base_arena_release(&p->arena, mark);
    }
}

static uint64_t *eval(struct mpc_party *p, const struct sec_exp *gate, const uint64_t *m, size_t n)
{
    uint8_t *root1, *root2;
    sec_roots(p, n, &root1, &root2);
    const uint8_t *root = p->role == MPC_LEFT ? root1 : root2;
    size_t cells = (size_t)1 << gate->h;
    uint64_t *share = mpc_words(p, n), *hot = mpc_words(p, BATCH * cells);
    void *scratch = mpc_bytes(p, kern_dpf_scratch(&gate->shape));
    kern_hold(p->kern); /* all chunks are waited for together */
    for (size_t at = 0; at < n && !mpc_failed(p); at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK, mark = base_arena_mark(&p->arena);
        struct kern_dpf_keys keys;
        if (!sec_dpf_receive(p, &gate->shape, count, &keys))
            break;
        kern_grid_sums(p->kern, &(struct kern_gate_keys){&keys, sec_side(p), root + 16 * at, 0, count, m + at}, gate->table, gate->s, share + at,
                       &(struct kern_gate_room){BATCH, hot, scratch});
        base_arena_release(&p->arena, mark);
    }
    kern_settle(p->kern);
    return share;
}

/* --- two parties: exp(u b) = exp(u b1) exp(u b2), from 2^k in cells of 2^s --- */

static struct mpc_point_form points_of(const struct sec_exp *gate)
{
    return (struct mpc_point_form){.h = gate->h, .ring = gate->ring, .payload = MPC_PAYLOAD_FACTORS, .bits = gate->factor_bits,
                                   .frac = gate->fb};
}

static void note(struct mpc_party *p, const struct sec_exp *gate, const uint64_t *mask, size_t n)
{
    uint64_t *factor = p->role == MPC_COUNT ? NULL : mpc_words(p, n);
    double unit = base_power_of_two(-gate->frac), scale = base_power_of_two(gate->fb);
    for (size_t i = 0; factor != NULL && !mpc_failed(p) && i < n; i++)
        factor[i] = (uint64_t)base_nearest(base_exp(unit * (double)(int64_t)(mask[i] & kern_ring_mask(gate->s))) * scale);
    sec_points_note(p, points_of(gate), mask, n, gate->s, factor, NULL);
}

struct reading {
    const struct mpc_party *p;
    const struct sec_exp *gate;
    const uint64_t *m;
    uint64_t *share;
};

static void read_one(void *context, size_t i, const uint64_t *hot)
{
    const struct reading *r = context;
    r->share[i] = r->p->kern->grid_dot(hot, r->gate->table, r->m[i], r->gate->h, r->gate->s);
}

static uint64_t *eval_made(struct mpc_party *p, const struct sec_exp *gate, const uint64_t *m, size_t n)
{
    struct reading reading = {p, gate, m, mpc_words(p, n)};
    sec_points_read(p, points_of(gate), n, read_one, &reading);
    return reading.share;
}

struct mpc_wire sec_exp_eval(struct mpc_party *p, const struct sec_exp *gate, struct mpc_wire y, const char *label)
{
    size_t n = y.count;
    struct mpc_opening_form form = {.ring = gate->ring, .f = gate->f, .frac = gate->fo, .bound = gate->fo, .ulp = gate->ulp,
                                    .label = label};
    if (p->maker == NULL)
        sec_declare_dealt(p, sec_exp_cost(gate, n));
    if (mpc_notes(p))
        note(p, gate, sec_read_mask(p, y, gate->k), n);
    else if (p->role == MPC_HELPER)
        deal(p, gate, sec_read_mask(p, y, gate->k), n);
    const uint64_t *m = sec_read_open(p, y, gate->k, 0), *share = NULL;
    if (p->role == MPC_CLEAR)
        share = clear(p, gate, m, n);
    else if (mpc_computes(p))
        share = p->maker != NULL ? eval_made(p, gate, m, n) : eval(p, gate, m, n);
    return mpc_open_share(p, share, n, form);
}

/* --- conformance: 2^14 units of 2^-8 nats in cells of 2 nats ------------------------------------------------------------- */

static const struct sec_exp_form standard = {.k = 14, .h = 5, .frac = 8, .fb = 12, .fe = 22, .fo = 18, .ring = 64};

static void sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    int64_t limit = (1 << 14) - 2 * (1 << 9); /* between two parties two cells are unusable */
    const int64_t edges[] = {0, 1, limit - 1, 511, 512, 513};
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        ret_x[i] = i < sizeof edges / sizeof *edges ? edges[i] : (int64_t)((seed >> 33) % (uint64_t)limit);
    }
}

static enum base_status run(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    struct sec_exp gate = {0};
    enum base_status status = BASE_OK;
    struct sec_exp_form form = standard;
    form.pair = p->maker != NULL;
    TRY(sec_exp_init(&gate, form, &p->error));
    *ret = sec_exp_eval(p, &gate, x, "exp");
    TRY(mpc_round(p));
out:
    sec_exp_finish(&gate);
    return status;
}

static struct mpc_cost cost(size_t count)
{
    struct sec_exp gate = {.h = standard.h, .ring = standard.ring, .f = standard.fb + standard.fe - standard.fo,
                           .shape = {.domain_bits = 5, .groups = 1, .rings = {64}}};
    gate.shape.nu = kern_dpf_choose_nu(5, 64);
    struct mpc_cost total = sec_exp_cost(&gate, count);
    total.rounds = 1;
    return total;
}

const struct sec_gate sec_gate_exp = {.name = "exp", .source = "specification, tables.py: ExpDpf", .input_ring = 20, .input_frac = 8,
                                      .input_bound = 14, .unit = 1, .sample = sample, .run = run, .cost = cost};
