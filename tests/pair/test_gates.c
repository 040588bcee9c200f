/* What gates need, made by two and read as gates read it: growth exact for every kind of share, and the exponential, quadratic pieces and
 * one-hot cells of pair.md over whole ranges, from payloads and keys that two parties made in one batch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/pair/support.h"

#include "pair/payload.h"
#include "pair/point.h"

#include <math.h>

/* --- growth ------------------------------------------------------------------------------------------------------------------------ */

struct growth {
    struct pair_grow_form form;
    uint64_t *from[3], *share[3];
};

static enum base_status grow(struct pair_party *p, void *context, struct base_error *error)
{
    struct growth *c = context;
    struct pair_grow job;
    struct pair_job *jobs[1] = {&job.job};
    enum base_status status = pair_grow_init(&job, p, c->form, c->from[p->id], c->share[p->id], error);
    return status == BASE_OK ? pair_run(p, jobs, 1, error) : status;
}

static void check_growth(struct pair_grow_form form, uint64_t seed)
{
    struct growth c = {.form = form};
    struct pair_ran ran;
    uint64_t *value = pair_test_words(seed, form.count, form.from - 2), keep = kern_ring_mask(form.from);
    c.from[1] = pair_test_words(seed + 1, form.count, form.from);
    c.from[2] = pair_test_alloc(form.count, 8);
    for (size_t i = 0; i < form.count; i++) {
        uint64_t most = (UINT64_C(1) << (form.from - 2)) - (form.cut == 0 ? 0 : UINT64_C(1) << form.cut) - 1;
        value[i] = value[i] > most ? most : value[i];
        c.from[2][i] = (value[i] - c.from[1][i]) & keep;
    }
    for (int id = 1; id <= 2; id++)
        c.share[id] = pair_test_alloc(form.count, 8);
    pair_run_well((struct pair_run_options){.k = 4, .seed = seed}, grow, &c, &ran);
    for (size_t i = 0; i < form.count; i++) {
        uint64_t got = (c.share[1][i] + c.share[2][i]) & kern_ring_mask(form.ring), low = kern_ring_mask(form.cut);
        bool carries = (c.from[1][i] & low) + (c.from[2][i] & low) > low;
        assert_int_equal(got, (value[i] >> form.cut) + (form.cut > 0 && !carries)); /* pair.md: T1 + T2 = floor + [no carry], exactly */
    }
    void *memory[] = {value, c.from[1], c.from[2], c.share[1], c.share[2]};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        base_free(&memory[i]);
}

static void test_growth(void **state)
{
    check_growth((struct pair_grow_form){.count = 500, .from = 36, .cut = 13, .ring = 64}, 1);
    check_growth((struct pair_grow_form){.count = 500, .from = 64, .cut = 20, .ring = 64}, 2);
    check_growth((struct pair_grow_form){.count = 500, .from = 5, .cut = 2, .ring = 4}, 3);
    check_growth((struct pair_grow_form){.count = 500, .from = 20, .cut = 0, .ring = 40}, 4);
}

static enum base_status grow_badly(struct pair_party *p, void *context, struct base_error *error)
{
    struct pair_grow job;
    return pair_grow_init(&job, p, (struct pair_grow_form){.count = 1, .from = 20, .cut = 4, .ring = 16}, NULL, NULL, error);
}

static void test_growth_is_refused(void **state)
{
    struct pair_ran ran;
    pair_run_both((struct pair_run_options){0}, grow_badly, NULL, &ran);
    check_fails(ran.status[1], BASE_ERR_INTERNAL, &ran.error[1], "shares of 20 bits, cut by 4, do not grow to 16");
}

/* --- powers ------------------------------------------------------------------------------------------------------------------------ */

struct powers {
    struct pair_powers_form form;
    uint64_t *own[3], *beta[3];
};

static enum base_status raise(struct pair_party *p, void *context, struct base_error *error)
{
    struct powers *c = context;
    struct pair_powers job;
    struct pair_job *jobs[1] = {&job.job};
    enum base_status status = pair_powers_init(&job, p, c->form, c->own[p->id], c->beta[p->id], error);
    return status == BASE_OK ? pair_run(p, jobs, 1, error) : status;
}

static void check_powers(struct pair_powers_form form, uint64_t seed)
{
    struct powers c = {.form = form};
    struct pair_ran ran;
    size_t n = form.count;
    uint64_t keep = kern_ring_mask(form.ring);
    for (int id = 1; id <= 2; id++) {
        uint64_t *b = pair_test_words(seed + (uint64_t)id, n, form.bits), *d = pair_test_words(seed + 5 + (uint64_t)id, n, 64);
        c.own[id] = pair_test_alloc(2 * n, 8);
        c.beta[id] = pair_test_alloc(6 * n, 8);
        memcpy(c.own[id], b, n * 8);
        memcpy(c.own[id] + n, d, n * 8);
        base_free(&b);
        base_free(&d);
    }
    pair_run_well((struct pair_run_options){.k = 4, .seed = seed}, raise, &c, &ran);
    for (size_t i = 0; i < n; i++) {
        uint64_t b = c.own[1][i] + c.own[2][i], d = c.own[1][n + i] + c.own[2][n + i];
        const uint64_t want[6] = {1, b, b * b, d, b * d, b * b * d};
        for (size_t g = 0; g < (form.times ? 6 : 3); g++)
            assert_int_equal((c.beta[1][g * n + i] + c.beta[2][g * n + i]) & keep, want[g] & keep);
    }
    for (int id = 1; id <= 2; id++) {
        base_free(&c.own[id]);
        base_free(&c.beta[id]);
    }
}

static void test_powers(void **state)
{
    for (int times = 0; times < 2; times++) {
        check_powers((struct pair_powers_form){.count = 60, .bits = 7, .ring = 64, .times = times}, 20);
        check_powers((struct pair_powers_form){.count = 33, .bits = 32, .ring = 64, .times = times}, 21);
        check_powers((struct pair_powers_form){.count = 17, .bits = 10, .ring = 9, .times = times}, 22);
    }
    /* SiLU times u on 512 cells, 8 of them, so that fields are whole bytes: the design counts 7686 bits and 77 COTs for each, but b1's choice
     * bits and COTs serve b2, too. */
    struct pair_cost cost = pair_cost_beside(pair_powers_cost((struct pair_powers_form){.count = 8, .bits = 7, .ring = 64, .times = true}),
                                             pair_point_cost((struct pair_point_form){.count = 8, .h = 9, .groups = 6, .rings = {64, 64, 64, 64, 64, 64}}));
    assert_int_equal(cost.cots[1] + cost.cots[2], 8 * 70);
    assert_int_equal(cost.bytes[1] + cost.bytes[2], 7686 - 7);
}

/* --- gates ------------------------------------------------------------------------------------------------------------------------- */

/* A gate reads k bits in 2^h cells; its payload is made of b, the low s bits of each mask. */
struct gate {
    int k, h, s, ring, groups;
    bool is_exp;
    double u;    /* exp: nats of a unit */
    int fb;      /* exp: fraction bits of a factor */
    size_t count;
    uint64_t *mask[3], *share[3]; /* [count]; [count][groups][2^h] */
};

static uint64_t factor(const struct gate *g, uint64_t b)
{
    return (uint64_t)llround(exp(g->u * (double)b) * ldexp(1, g->fb));
}

static enum base_status make_gate(struct pair_party *p, void *context, struct base_error *error)
{
    struct gate *g = context;
    enum base_status status;
    size_t n = g->count;
    uint64_t *high = NULL, *low = NULL, *beta = NULL;
    struct pair_powers powers = {0};
    struct pair_factors factors = {0};
    struct pair_point *point = NULL;
    struct pair_point_keys keys = {0};
    struct pair_point_form form = {.count = n, .h = g->h, .groups = g->groups, .rings = {g->ring, g->ring, g->ring}};
    TRY(base_alloc(&high, n, 8, error));
    TRY(base_alloc(&low, n, 8, error));
    TRY(base_alloc(&beta, (size_t)g->groups * n, 8, error));
    TRY(base_alloc(&point, 1, sizeof *point, error));
    for (size_t i = 0; i < n; i++) {
        high[i] = g->mask[p->id][i] >> g->s;
        low[i] = g->mask[p->id][i] & kern_ring_mask(g->s);
        low[i] = g->is_exp ? factor(g, low[i]) : low[i];
        beta[i] = p->id == 1; /* a one-hot row has payload 1 */
    }
    int bits = g->fb + (int)ceil(g->u * ldexp(1, g->s) * 1.4427) + 1;
    if (g->is_exp)
        TRY(pair_factors_init(&factors, p, (struct pair_factors_form){n, bits, g->fb, g->ring}, low, beta, error));
    else if (g->groups == 3)
        TRY(pair_powers_init(&powers, p, (struct pair_powers_form){.count = n, .bits = g->s, .ring = g->ring}, low, beta, error));
    TRY(pair_point_init(point, p, form, high, beta, &keys, error));
    struct pair_job *jobs[2] = {g->is_exp ? &factors.job : &powers.job, &point->job};
    size_t first = g->is_exp || g->groups == 3 ? 0 : 1;
    TRY(pair_run(p, jobs + first, 2 - first, error));
    TRY(pair_point_expand(p, &keys, 0, n, g->share[p->id], error));
out:
    base_free(&high);
    base_free(&low);
    base_free(&beta);
    base_free(&point);
    pair_point_keys_finish(&keys);
    return status;
}

static struct pair_ran run_gate(struct gate *g, uint64_t seed)
{
    struct pair_ran ran;
    g->s = g->k - g->h;
    for (int id = 1; id <= 2; id++) {
        g->mask[id] = pair_test_words(seed + (uint64_t)id, g->count, g->k);
        g->share[id] = pair_test_alloc(g->count * (size_t)g->groups << g->h, 8);
    }
    pair_run_well((struct pair_run_options){.k = 8, .seed = seed}, make_gate, g, &ran);
    return ran;
}

static void close_gate(struct gate *g)
{
    for (int id = 1; id <= 2; id++) {
        base_free(&g->mask[id]);
        base_free(&g->share[id]);
    }
}

static uint64_t opened(const struct gate *g, size_t i, int group, size_t cell)
{
    size_t at = ((i * (size_t)g->groups + (size_t)group) << g->h) + cell;
    return (g->share[1][at] + g->share[2][at]) & kern_ring_mask(g->ring);
}

static uint64_t reading(const struct gate *g, size_t i, uint64_t x)
{
    return (x + g->mask[1][i] + g->mask[2][i]) & kern_ring_mask(g->k);
}

/* exp(-u y) with the table of the model, each party alone, then added: 18 fraction bits, off by 2^-12 and some units. */
static void test_exp(void **state)
{
    enum { N = 200, FE = 22, FO = 18 };
    struct gate g = {.k = 16, .h = 5, .ring = 64, .groups = 1, .is_exp = true, .u = 1.0 / 1024, .fb = 13, .count = N};
    struct pair_ran ran = run_gate(&g, 5);
    size_t all = (size_t)1 << g.k;
    uint64_t *y = pair_test_words(9, N, 62), *table = pair_test_alloc(all, 8);
    int f = g.fb + FE - FO;
    for (size_t i = 0; i < all; i++)
        table[i] = (uint64_t)llround(exp(-g.u * (double)i) * ldexp(1, FE));
    for (size_t i = 0; i < N; i++) {
        uint64_t x = y[i] % (all - (2u << g.s)), m = reading(&g, i, x), z[3] = {0};
        for (int id = 1; id <= 2; id++)
            for (uint64_t cell = 0; cell < 1u << g.h; cell++)
                z[id] += g.share[id][(i << g.h) + cell] * table[(m - (cell << g.s)) & (all - 1)];
        double got = (double)(((z[1] >> f) + 1 + (z[2] >> f)) & kern_ring_mask(64 - f));
        assert_true(fabs(got - ldexp(exp(-g.u * (double)x), FO)) < ldexp(1, FO - 12) + 16);
    }
    assert_int_equal(ran.exchanges[1], 2 + 1 + 5 + 3); /* the payload hides behind the levels */
    base_free(&y);
    base_free(&table);
    close_gate(&g);
}

static double gelu(double x)
{
    double t = x / 512 - 8;
    return 0.5 * t * (1 + tanh(0.7978845608 * (t + 0.044715 * t * t * t)));
}

/* Coefficients of the quadratic through three Chebyshev points of (-2 w, w) around x = q w: c[0] + c[1] d + c[2] d^2. */
static void piece(double q, double w, double c[3])
{
    double t[3], v[3];
    for (int e = 0; e < 3; e++) {
        t[e] = cos(3.14159265358979 * (e + 0.5) / 3) * 1.5 * w - 0.5 * w;
        v[e] = gelu(q * w + t[e]);
    }
    double d1 = (v[1] - v[0]) / (t[1] - t[0]), d2 = ((v[2] - v[1]) / (t[2] - t[1]) - d1) / (t[2] - t[0]);
    c[2] = d2;
    c[1] = d1 - d2 * (t[0] + t[1]);
    c[0] = v[0] - t[0] * (d1 - t[1] * d2);
}

static uint64_t fixed(double x, int bits)
{
    return (uint64_t)(int64_t)llround(ldexp(x, bits));
}

/* GELU on 256 cells, payload (1, b, b^2): below 3e-4 from the function, over both halves of the line and all carries. */
static void test_pieces(void **state)
{
    enum { N = 300, F = 30, CELLS = 256 };
    struct gate g = {.k = 13, .h = 8, .ring = 64, .groups = 3, .count = N};
    (void)run_gate(&g, 6);
    uint64_t *y = pair_test_words(10, N, 62), c[3][CELLS];
    double w = ldexp(1, g.s);
    for (int q = 0; q < CELLS; q++) {
        double real[3];
        piece(q, w, real);
        for (int e = 0; e < 3; e++)
            c[e][q] = fixed(real[e], F);
    }
    for (size_t i = 0; i < N; i++) {
        uint64_t x = y[i] % ((1u << g.k) - (2u << g.s)), m = reading(&g, i, x), j = m & kern_ring_mask(g.s), z = 0;
        for (uint64_t cell = 0; cell < CELLS; cell++) {
            size_t q = ((m >> g.s) - cell) & (CELLS - 1);
            z += opened(&g, i, 0, cell) * (c[0][q] + j * (c[1][q] + j * c[2][q]));
            z -= opened(&g, i, 1, cell) * (c[1][q] + 2 * j * c[2][q]);
            z += opened(&g, i, 2, cell) * c[2][q];
        }
        assert_true(fabs(ldexp((double)(int64_t)z, -F) - gelu((double)x)) < 3e-4);
    }
    base_free(&y);
    close_gate(&g);
}

/* A one-hot row over the high bits: the cell is the true one or one of the next two, and each of the three comes. */
static void test_cells(void **state)
{
    enum { N = 300 };
    struct gate g = {.k = 12, .h = 5, .ring = 16, .groups = 1, .count = N};
    size_t seen[3] = {0};
    (void)run_gate(&g, 7);
    uint64_t *y = pair_test_words(11, N, 62);
    for (size_t i = 0; i < N; i++) {
        uint64_t x = y[i] % ((1u << g.k) - (2u << g.s)), m = reading(&g, i, x), sum = 0, found = 0;
        for (uint64_t cell = 0; cell < 1u << g.h; cell++) {
            uint64_t hot = opened(&g, i, 0, ((m >> g.s) - cell) & kern_ring_mask(g.h));
            sum += hot;
            found += hot * cell;
        }
        assert_int_equal(sum, 1);
        assert_in_range(found - (x >> g.s), 0, 2);
        seen[found - (x >> g.s)]++;
    }
    assert_true(seen[0] > 0 && seen[1] > 0 && seen[2] > 0);
    base_free(&y);
    close_gate(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth), cmocka_unit_test(test_growth_is_refused), cmocka_unit_test(test_powers),
        cmocka_unit_test(test_exp),    cmocka_unit_test(test_pieces),            cmocka_unit_test(test_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
