#include "pair/payload.h"

#include "base/memory.h"

#include <string.h>

/* --- powers ------------------------------------------------------------------------------------------------------------------------ */

static int parts_of(const struct pair_powers_form *form)
{
    return form->times ? PAIR_POWERS_PARTS : 1;
}

/* Parts 0 and 1 multiply by b, of P1 and of P2; parts 2 and 3 by its square. Part 0 also makes b1 b2. */
static struct pair_gilboa_form part_form(const struct pair_powers_form *form, int part)
{
    static const size_t width[PAIR_POWERS_PARTS] = {3, 2, 1, 1};
    return (struct pair_gilboa_form){.sender = 2 - part % 2, .count = form->count, .bits = part < 2 ? form->bits : 2 * form->bits,
                                     .width = form->times ? width[part] : 1, .ring = form->ring};
}

struct pair_cost pair_powers_cost(struct pair_powers_form form)
{
    struct pair_cost cost = pair_gilboa_cost(part_form(&form, 0));
    for (int part = 1; part < parts_of(&form); part++)
        cost = pair_cost_beside(cost, pair_gilboa_cost(part_form(&form, part)));
    return cost;
}

/* The words that the sender of a part knows: (b,) d, b d. */
static void write_words(const struct pair_powers *job, int part, uint64_t *ret)
{
    size_t n = job->form.count;
    const uint64_t *b = job->own, *d = job->form.times ? job->own + n : NULL;
    if (part == 0) {
        memcpy(ret, b, n * sizeof *ret);
        ret += n;
    }
    for (size_t i = 0; d != NULL && i < n; i++) {
        ret[i] = d[i];
        if (part < 2)
            ret[n + i] = b[i] * d[i];
    }
}

/* b D and b^2 D by their terms: own ones, and those of the four parts. */
static void end_times(struct pair_powers *job)
{
    size_t n = job->form.count;
    const uint64_t *b = job->own, *d = job->own + n, *one = job->product[0], *two = job->product[1];
    for (size_t i = 0; i < n; i++) {
        job->beta[3 * n + i] = d[i];
        job->beta[4 * n + i] = b[i] * d[i] + one[n + i] + two[i];
        job->beta[5 * n + i] = b[i] * b[i] * d[i] + 2 * (one[2 * n + i] + two[n + i]) + job->product[2][i] + job->product[3][i];
    }
}

static void end_powers(const struct pair_party *p, struct pair_powers *job)
{
    size_t n = job->form.count;
    for (size_t i = 0; i < n; i++) {
        uint64_t b = job->own[i];
        job->beta[i] = p->id == 1;
        job->beta[n + i] = b;
        job->beta[2 * n + i] = b * b + 2 * job->product[0][i];
    }
    if (job->form.times)
        end_times(job);
    for (size_t i = 0; i < (job->form.times ? 6 : 3) * n; i++)
        job->beta[i] &= kern_ring_mask(job->form.ring);
}

static enum base_status powers_step(struct pair_party *p, struct pair_job *base, int stage, struct base_error *error)
{
    struct pair_powers *job = (struct pair_powers *)base;
    for (int part = 0; part < parts_of(&job->form); part++) {
        enum base_status status = job->part[part].job.step(p, &job->part[part].job, stage, error);
        if (status != BASE_OK)
            return status;
    }
    if (stage == 2)
        end_powers(p, job);
    return BASE_OK;
}

static void powers_finish(struct pair_job *base)
{
    struct pair_powers *job = (struct pair_powers *)base;
    base_free_secret(&job->square);
    for (int part = 0; part < PAIR_POWERS_PARTS; part++) {
        if (job->part[part].job.finish != NULL)
            job->part[part].job.finish(&job->part[part].job);
        base_free_secret(&job->words[part]);
        base_free_secret(&job->product[part]);
    }
}

enum base_status pair_powers_init(struct pair_powers *ret, const struct pair_party *p, struct pair_powers_form form, const uint64_t *own,
                                  uint64_t *beta, struct base_error *error)
{
    enum base_status status;
    size_t n = form.count;
    *ret = (struct pair_powers){.job = {.step = powers_step, .finish = powers_finish}, .form = form, .own = own, .beta = beta};
    TRY_THAT(form.bits >= 1 && form.bits <= PAIR_POWERS_MOST_BITS, error, BASE_ERR_INTERNAL, "powers of numbers of %d bits", form.bits);
    ret->job.cost = pair_powers_cost(form);
    TRY(base_alloc(&ret->square, n, sizeof(uint64_t), error));
    for (size_t i = 0; i < n; i++)
        ret->square[i] = own[i] * own[i];
    for (int part = 0; part < parts_of(&form); part++) {
        struct pair_gilboa_form product = part_form(&form, part);
        bool sends = p->id == product.sender;
        TRY(base_alloc(&ret->words[part], product.width * n, sizeof(uint64_t), error));
        TRY(base_alloc(&ret->product[part], product.width * n, sizeof(uint64_t), error));
        if (sends)
            write_words(ret, part, ret->words[part]);
        TRY(pair_gilboa_init(&ret->part[part], p, product, sends ? ret->words[part] : part < 2 ? own : ret->square, ret->product[part], error));
    }
out:
    if (status != BASE_OK)
        powers_finish(&ret->job);
    return status;
}

/* --- factors ----------------------------------------------------------------------------------------------------------------------- */

static struct pair_gilboa_form factor_form(const struct pair_factors_form *form)
{
    return (struct pair_gilboa_form){.sender = 2, .count = form->count, .bits = form->bits, .width = 1, .ring = 2 * form->bits + 2};
}

static struct pair_grow_form grow_form(const struct pair_factors_form *form)
{
    return (struct pair_grow_form){.count = form->count, .from = 2 * form->bits + 2, .cut = form->frac, .ring = form->ring};
}

struct pair_cost pair_factors_cost(struct pair_factors_form form)
{
    struct pair_cost cost = pair_cost_beside(pair_gilboa_cost(factor_form(&form)), pair_grow_cost(grow_form(&form)));
    cost.exchanges = 3;
    return cost;
}

/* The growth begins one stage after the product, whose shares it then reads in time. */
static enum base_status factors_step(struct pair_party *p, struct pair_job *base, int stage, struct base_error *error)
{
    struct pair_factors *job = (struct pair_factors *)base;
    enum base_status status = BASE_OK;
    if (stage <= 2)
        status = job->gilboa.job.step(p, &job->gilboa.job, stage, error);
    if (status == BASE_OK && stage >= 1)
        status = job->grow.job.step(p, &job->grow.job, stage - 1, error);
    return status;
}

static void factors_finish(struct pair_job *base)
{
    struct pair_factors *job = (struct pair_factors *)base;
    if (job->gilboa.job.finish != NULL)
        job->gilboa.job.finish(&job->gilboa.job);
    if (job->grow.job.finish != NULL)
        job->grow.job.finish(&job->grow.job);
    base_free_secret(&job->product);
}

enum base_status pair_factors_init(struct pair_factors *ret, const struct pair_party *p, struct pair_factors_form form, const uint64_t *own,
                                   uint64_t *beta, struct base_error *error)
{
    enum base_status status;
    *ret = (struct pair_factors){.job = {factors_step, factors_finish, pair_factors_cost(form)}, .form = form};
    TRY(base_alloc(&ret->product, form.count + 1, sizeof(uint64_t), error));
    TRY(pair_gilboa_init(&ret->gilboa, p, factor_form(&form), own, ret->product, error));
    TRY(pair_grow_init(&ret->grow, p, grow_form(&form), ret->product, beta, error));
out:
    if (status != BASE_OK)
        factors_finish(&ret->job);
    return status;
}
