#include "pair/rlwe_parts.h"

#include "base/memory.h"
#include "kernels/threads.h"

#include <string.h>

/* --- products ---------------------------------------------------------------------------------------------------------------------- */

/* How many bits of a coefficient travel, and how these are two fields. */
struct width {
    int back, low, high;
};

static struct width width_of(const struct pair_rlwe_params *params, int ring)
{
    int back = ring == 0 ? params->back : params->back - params->plain + ring, low = back < 64 ? back : 64;
    return (struct width){back, low, back - low};
}

static struct width job_width(const struct pair_rlwe_product *job)
{
    return width_of(&job->form.rlwe->params, job->form.ring);
}

struct pair_cost pair_rlwe_product_cost(const struct pair_rlwe_params *params, int owner, int ring, size_t rows, size_t vectors)
{
    struct pair_cost cost = {.exchanges = 1};
    uint64_t coefficients = (PAIR_RLWE_N + rows) * (uint64_t)vectors;
    struct width w = width_of(params, ring);
    cost.bytes[3 - owner] = mpc_bits(coefficients, w.low) + mpc_bits(coefficients, w.high);
    return cost;
}

/* What one job's answers are made of: accumulators of both halves for each vector, and room for one polynomial. */
struct answer {
    uint64_t *a, *b; /* [vectors][N or rows][limbs] */
    uint64_t *work;  /* [N][limbs] */
    int64_t *noise;  /* [N] */
    int8_t *u;       /* [N] */
};

static void answer_finish(struct answer *x)
{
    base_free_secret(&x->a);
    base_free_secret(&x->b);
    base_free_secret(&x->work);
    base_free_secret(&x->noise);
    base_free_secret(&x->u);
}

static enum base_status answer_init(struct answer *x, const struct pair_rlwe_product *job, struct base_error *error)
{
    enum base_status status;
    size_t limbs = (size_t)job->form.rlwe->params.limbs, all = PAIR_RLWE_N * limbs;
    TRY(base_alloc(&x->a, job->form.vectors * all, sizeof *x->a, error));
    TRY(base_alloc(&x->b, job->form.vectors * job->rows * limbs + 1, sizeof *x->b, error));
    TRY(base_alloc(&x->work, all, sizeof *x->work, error));
    TRY(base_alloc(&x->noise, PAIR_RLWE_N, sizeof *x->noise, error));
    TRY(base_alloc(&x->u, PAIR_RLWE_N, 1, error));
out:
    return status;
}

/* Coefficients whose sums of one vector, and the polynomial that is added to them, stay in a first-level cache together. */
enum { SPAN = 512 };

struct sums {
    const struct pair_party *p;
    const struct pair_rlwe_product *job;
    struct answer *x;
};

/* Reduced to the ring of the result: bits above it would reach no share, and make the noise that the flood has to hide larger. */
static uint64_t scalar(const struct pair_rlwe_product *job, size_t t, size_t j)
{
    int ring = job->form.ring == 0 ? job->form.rlwe->params.plain : job->form.ring;
    return job->vector[t * job->form.block[0]->columns + j] & kern_ring_mask(ring);
}

/* sum_j v_j a_j at spans [first, end). A polynomial is made once for all vectors. */
static void add_first(void *context, size_t first, size_t end)
{
    const struct sums *s = context;
    const struct pair_rlwe_product *job = s->job;
    const struct pair_rlwe_rows *rows = job->form.block[0];
    int limbs = job->form.rlwe->params.limbs;
    uint64_t a[SPAN * PAIR_RLWE_MOST_LIMBS];
    for (size_t span = first; span < end; span++)
        for (size_t j = 0; j < rows->columns; j++) {
            pair_rlwe_public(s->p, job->form.rlwe, job->form.owner, pair_rlwe_number(rows, j), span * SPAN, SPAN, a);
            for (size_t t = 0; t < job->form.vectors; t++)
                pair_ring_add_times(s->x->a + (t * PAIR_RLWE_N + span * SPAN) * (size_t)limbs, a, SPAN, limbs, scalar(job, t, j));
        }
}

/* sum_j v_j b_j at rows [first, end) of block k. */
static void add_second(const struct sums *s, size_t k, size_t before, size_t first, size_t end)
{
    const struct pair_rlwe_product *job = s->job;
    const struct pair_rlwe_rows *rows = job->form.block[k];
    int limbs = job->form.rlwe->params.limbs;
    size_t stride = pair_rlwe_stride(rows, &job->form.rlwe->params);
    for (size_t j = 0; j < rows->columns; j++)
        for (size_t t = 0; t < job->form.vectors; t++)
            pair_ring_add_times(s->x->b + (t * job->rows + before + first) * (size_t)limbs, rows->body + j * stride + first * (size_t)limbs, end - first, limbs,
                                scalar(job, t, j));
}

/* sum_j v_j (a_j, b_j). */
static void accumulate(const struct pair_party *p, const struct pair_rlwe_product *job, struct answer *x)
{
    struct sums sums = {p, job, x};
    kern_over_threads(PAIR_RLWE_N / SPAN, 1, add_first, &sums);
    for (size_t k = 0, before = 0; k < job->form.blocks; before += job->form.block[k++]->rows)
        for (size_t first = 0; first < job->form.block[k]->rows; first += SPAN) {
            size_t left = job->form.block[k]->rows - first;
            add_second(&sums, k, before, first, first + (left < SPAN ? left : SPAN));
        }
}

/* Coefficient number of answered row r. */
static size_t coefficient_of(const struct pair_rlwe_product *job, size_t r)
{
    size_t k = 0;
    while (r >= job->form.block[k]->rows)
        r -= job->form.block[k++]->rows;
    return job->form.block[k]->at + r;
}

/* x.work += c u + noise: one half of a fresh encryption of zero. */
static enum base_status half_of_zero(struct pair_party *p, const struct pair_rlwe_product *job, struct answer *x, const uint64_t *c,
                                     struct base_error *error)
{
    int limbs = job->form.rlwe->params.limbs;
    enum base_status status = pair_ring_times_small(x->work, c, limbs, 64 * limbs, x->u, error);
    if (status != BASE_OK)
        return status;
    pair_ring_draw_noise(&p->own, x->noise, PAIR_RLWE_N);
    for (size_t i = 0; i < PAIR_RLWE_N; i++)
        pair_ring_add(x->work + i * (size_t)limbs, limbs, x->noise[i], 0);
    return BASE_OK;
}

/* Rounded to nearest at Q2 bits, of which the lower ones travel. */
static void round_coefficient(const struct pair_rlwe_params *params, struct width w, const uint64_t *c, uint64_t *ret_low, uint64_t *ret_high)
{
    uint64_t x[PAIR_RLWE_MOST_LIMBS + 1] = {0};
    int limbs = params->limbs, drop = 64 * limbs - params->back;
    memcpy(x, c, (size_t)limbs * sizeof *x);
    pair_ring_add(x, limbs, 1, drop - 1);
    int at = drop / 64, off = drop % 64;
    uint64_t low = x[at] >> off | (off == 0 ? 0 : x[at + 1] << (64 - off)), high = at + 1 < limbs ? x[at + 1] >> off : 0;
    *ret_low = low & kern_ring_mask(w.low);
    *ret_high = w.high == 0 ? 0 : high & kern_ring_mask(w.high);
    base_wipe(x, sizeof x);
}

/* A uniform number of `flood` bits, centred. */
static void flood(struct pair_party *p, const struct pair_rlwe_params *params, uint64_t *c)
{
    uint64_t draw[2], number[PAIR_RLWE_MOST_LIMBS] = {0}, middle[PAIR_RLWE_MOST_LIMBS] = {0};
    mpc_stream_words(&p->own, draw, 2, 64);
    number[0] = draw[0];
    number[1] = draw[1] & kern_ring_mask(params->flood - 64);
    middle[1] = UINT64_C(1) << (params->flood - 65);
    (void)mpn_add_n(c, c, number, params->limbs);
    (void)mpn_sub_n(c, c, middle, params->limbs);
    base_wipe(draw, sizeof draw);
    base_wipe(number, sizeof number);
}

/* Answer t from its sums: fresh zero on both halves, flood and rho on the answered coefficients, rounded. */
static enum base_status finish_answer(struct pair_party *p, struct pair_rlwe_product *job, struct answer *x, size_t t, struct base_error *error)
{
    enum base_status status;
    const struct pair_rlwe_params *params = &job->form.rlwe->params;
    size_t limbs = (size_t)params->limbs, all = PAIR_RLWE_N * limbs, at = t * (PAIR_RLWE_N + job->rows);
    uint64_t *a = x->a + t * all, *share = job->share + t * job->rows;
    struct width w = job_width(job);
    pair_ring_draw_small(&p->own, x->u, x->work);
    pair_rlwe_public(p, job->form.rlwe, job->form.owner, PAIR_RLWE_KEY_NUMBER, 0, PAIR_RLWE_N, x->work);
    TRY(half_of_zero(p, job, x, x->work, error));
    for (size_t i = 0; i < PAIR_RLWE_N; i++) {
        (void)mpn_add_n(a + i * limbs, a + i * limbs, x->work + i * limbs, params->limbs);
        round_coefficient(params, w, a + i * limbs, &job->low[at + i], &job->high[at + i]);
    }
    TRY(half_of_zero(p, job, x, job->form.rlwe->key[job->form.owner], error));
    mpc_stream_words(&p->own, share, job->rows, params->plain);
    for (size_t r = 0; r < job->rows; r++) {
        uint64_t *c = x->b + (t * job->rows + r) * limbs;
        (void)mpn_add_n(c, c, x->work + coefficient_of(job, r) * limbs, params->limbs);
        flood(p, params, c);
        pair_ring_add(c, params->limbs, (int64_t)share[r], 64 * params->limbs - params->plain);
        round_coefficient(params, w, c, &job->low[at + PAIR_RLWE_N + r], &job->high[at + PAIR_RLWE_N + r]);
        share[r] = (0 - share[r]) & kern_ring_mask(w.back - (params->back - params->plain));
    }
out:
    return status;
}

static enum base_status evaluate(struct pair_party *p, struct pair_rlwe_product *job, struct base_error *error)
{
    enum base_status status;
    struct answer x = {0};
    size_t coefficients = job->form.vectors * (PAIR_RLWE_N + job->rows);
    struct width w = job_width(job);
    TRY(answer_init(&x, job, error));
    accumulate(p, job, &x);
    for (size_t t = 0; t < job->form.vectors; t++)
        TRY(finish_answer(p, job, &x, t, error));
    TRY(pair_put(p, job->low, coefficients, w.low, error));
    TRY(pair_put(p, job->high, coefficients, w.high, error));
out:
    answer_finish(&x);
    return status;
}

/* (x + half) >> (Q2 - plain): the word that a coefficient holds. */
static uint64_t word_of(const struct pair_rlwe_params *params, int back, const uint64_t coefficient[2])
{
    int drop = params->back - params->plain;
    unsigned __int128 x = (unsigned __int128)coefficient[1] << 64 | coefficient[0];
    x += (unsigned __int128)1 << (drop - 1);
    return (uint64_t)(x >> drop) & kern_ring_mask(back - drop);
}

static enum base_status decrypt(struct pair_rlwe_product *job, struct base_error *error)
{
    enum base_status status;
    const struct pair_rlwe_params *params = &job->form.rlwe->params;
    struct width w = job_width(job);
    enum { TWO = 2 };
    uint64_t *z = NULL;
    TRY(base_alloc(&z, TWO * PAIR_RLWE_N, sizeof *z, error));
    for (size_t t = 0; t < job->form.vectors; t++) {
        const uint64_t *low = job->low + t * (PAIR_RLWE_N + job->rows), *high = job->high + t * (PAIR_RLWE_N + job->rows);
        for (size_t i = 0; i < PAIR_RLWE_N; i++) {
            z[TWO * i] = low[i];
            z[TWO * i + 1] = high[i];
        }
        TRY(pair_ring_times_small(z, z, TWO, w.back, job->form.rlwe->secret, error));
        for (size_t r = 0; r < job->rows; r++) {
            uint64_t c[TWO] = {low[PAIR_RLWE_N + r], high[PAIR_RLWE_N + r]};
            (void)mpn_add_n(c, c, z + TWO * coefficient_of(job, r), TWO);
            job->share[t * job->rows + r] = word_of(params, w.back, c);
        }
    }
out:
    base_free_secret(&z);
    return status;
}

static enum base_status product_step(struct pair_party *p, struct pair_job *base, int stage, struct base_error *error)
{
    struct pair_rlwe_product *job = (struct pair_rlwe_product *)base;
    enum base_status status = BASE_OK;
    size_t coefficients = job->form.vectors * (PAIR_RLWE_N + job->rows);
    struct width w = job_width(job);
    bool owns = p->id == job->form.owner;
    stage -= job->form.late;
    if (stage < 0 || stage > 1)
        return BASE_OK;
    if (stage == 0 && !owns)
        return evaluate(p, job, error);
    if (stage == 1)
        return owns ? decrypt(job, error) : BASE_OK;
    TRY(pair_await(p, job->low, coefficients, w.low, error));
    TRY(pair_await(p, job->high, coefficients, w.high, error));
out:
    return status;
}

static void product_finish(struct pair_job *base)
{
    struct pair_rlwe_product *job = (struct pair_rlwe_product *)base;
    base_free_secret(&job->low);
    base_free_secret(&job->high);
}

enum base_status pair_rlwe_product_init(struct pair_rlwe_product *ret, const struct pair_party *p, struct pair_rlwe_product_form form,
                                        const uint64_t *vector, uint64_t *share, struct base_error *error)
{
    enum base_status status;
    *ret = (struct pair_rlwe_product){.job = {.step = product_step, .finish = product_finish}, .form = form, .vector = vector, .share = share};
    TRY_THAT(form.ring >= 0 && form.ring <= form.rlwe->params.plain, error, BASE_ERR_INTERNAL, "a product in %d bits under keys for %d", form.ring,
             form.rlwe->params.plain);
    TRY_THAT(form.blocks >= 1 && form.blocks <= PAIR_RLWE_MOST_BLOCKS && form.vectors >= 1, error, BASE_ERR_INTERNAL,
             "a product of %zu blocks of rows by %zu vectors", form.blocks, form.vectors);
    for (size_t k = 0; k < form.blocks; k++) {
        const struct pair_rlwe_rows *first = form.block[0], *block = form.block[k];
        TRY_THAT(block->first == first->first && block->number == first->number && block->columns == first->columns, error, BASE_ERR_INTERNAL,
                 "answers of different matrices may not share a first half: columns %llu and %llu", (unsigned long long)first->first,
                 (unsigned long long)block->first);
        ret->rows += block->rows;
    }
    ret->job.cost = pair_rlwe_product_cost(&form.rlwe->params, form.owner, form.ring, ret->rows, form.vectors);
    ret->job.cost.exchanges += form.late;
    TRY(base_alloc(&ret->low, form.vectors * (PAIR_RLWE_N + ret->rows), sizeof *ret->low, error));
    TRY(base_alloc(&ret->high, form.vectors * (PAIR_RLWE_N + ret->rows), sizeof *ret->high, error));
out:
    if (status != BASE_OK)
        product_finish(&ret->job);
    return status;
}
