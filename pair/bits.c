#include "pair/bits.h"

#include "base/memory.h"

static uint64_t steps_of(const struct pair_bits_form *form)
{
    return (UINT64_C(1) << form->bits) - 1;
}

static struct pair_gilboa_form gilboa_form(const struct pair_bits_form *form)
{
    return (struct pair_gilboa_form){.sender = 1, .count = steps_of(form) * form->count, .bits = 1, .width = 1, .ring = form->ring};
}

struct pair_cost pair_bits_cost(struct pair_bits_form form)
{
    return pair_gilboa_cost(gilboa_form(&form));
}

/* [a = b], of small numbers that are secret: no branch. */
static uint64_t equals(uint64_t a, uint64_t b)
{
    return ((a ^ b) - 1) >> 63;
}

static enum base_status step(struct pair_party *p, struct pair_job *base, int stage, struct base_error *error)
{
    struct pair_bits *job = (struct pair_bits *)base;
    size_t n = job->form.count;
    enum base_status status = job->gilboa.job.step(p, &job->gilboa.job, stage, error);
    if (status != BASE_OK || stage < 2)
        return status;
    for (size_t i = 0; i < n; i++) {
        uint64_t sum = job->base[i];
        for (uint64_t v = 0; v < steps_of(&job->form); v++)
            sum += job->product[v * n + i];
        job->share[i] = sum & kern_ring_mask(job->form.ring);
    }
    return BASE_OK;
}

static void finish(struct pair_job *base)
{
    struct pair_bits *job = (struct pair_bits *)base;
    if (job->gilboa.job.finish != NULL)
        job->gilboa.job.finish(&job->gilboa.job);
    base_free_secret(&job->base);
    base_free_secret(&job->own);
    base_free_secret(&job->product);
}

enum base_status pair_bits_init(struct pair_bits *ret, const struct pair_party *p, struct pair_bits_form form, const uint64_t *own, uint64_t *share,
                                struct base_error *error)
{
    enum base_status status;
    size_t n = form.count;
    *ret = (struct pair_bits){.job = {.step = step, .finish = finish}, .form = form, .share = share};
    TRY_THAT(form.bits >= 1 && form.bits <= PAIR_BITS_MOST, error, BASE_ERR_INTERNAL, "a product of %d bits", form.bits);
    ret->job.cost = pair_bits_cost(form);
    uint64_t last = steps_of(&form);
    TRY(base_alloc(&ret->base, n, sizeof *ret->base, error));
    TRY(base_alloc(&ret->own, last * n, sizeof *ret->own, error));
    TRY(base_alloc(&ret->product, last * n, sizeof *ret->product, error));
    for (size_t i = 0; i < n; i++) {
        uint64_t number = own[i] & last, complement = last - number;
        for (uint64_t v = 1; v <= last; v++)
            ret->own[(v - 1) * n + i] = p->id == 1 ? equals(v, complement) - equals(0, complement) : equals(v, number);
        ret->base[i] = p->id == 1 ? equals(0, complement) : 0;
    }
    TRY(pair_gilboa_init(&ret->gilboa, p, gilboa_form(&form), ret->own, ret->product, error));
out:
    if (status != BASE_OK)
        finish(&ret->job);
    return status;
}
