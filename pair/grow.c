#include "pair/grow.h"

#include "base/memory.h"

enum { SENDER = 1 };

static struct pair_and_form and_form(const struct pair_grow_form *form)
{
    return (struct pair_and_form){.sender = SENDER, .count = form->count, .ring = form->ring - form->from + form->cut};
}

struct pair_cost pair_grow_cost(struct pair_grow_form form)
{
    struct pair_cost cost = pair_and_cost(and_form(&form));
    for (int id = 1; id <= 2; id++)
        cost.bytes[id] += mpc_bits(form.count, 1);
    cost.exchanges = 2;
    return cost;
}

/* Own part of the cut value in Z_2^(k - f), P1's with the offset that keeps it positive; its top bit under rho. */
static enum base_status send_bits(struct pair_party *p, struct pair_grow *job, struct base_error *error)
{
    enum base_status status;
    const struct pair_grow_form *form = &job->form;
    int small = form->from - form->cut;
    uint64_t keep = kern_ring_mask(small), more = p->id == 1 ? (form->cut > 0) + (UINT64_C(1) << (small - 2)) : 0;
    for (size_t i = 0; i < form->count; i++) {
        job->share[i] = (((job->from[i] & kern_ring_mask(form->from)) >> form->cut) + more) & keep;
        job->bit[0][i] = job->share[i] >> (small - 1) ^ job->rho[i];
    }
    TRY(pair_put(p, job->bit[0], form->count, 1, error));
    TRY(pair_await(p, job->bit[1], form->count, 1, error));
out:
    return status;
}

/* a c from shares of rho1 rho2: a = d1 + s1 rho1 and c = d2 + s2 rho2 with s = 1 - 2 d; wrap = a + c - a c. */
static void end(const struct pair_party *p, struct pair_grow *job)
{
    const struct pair_grow_form *form = &job->form;
    int small = form->from - form->cut;
    for (size_t i = 0; i < form->count; i++) {
        uint64_t own = job->bit[0][i], theirs = job->bit[1][i], bit = job->share[i] >> (small - 1);
        uint64_t s_own = 1 - 2 * own, s_theirs = 1 - 2 * theirs, mixed = s_own * s_theirs * job->both[i];
        uint64_t product = p->id == 1 ? bit * theirs + mixed : s_own * theirs * job->rho[i] + mixed;
        uint64_t offset = p->id == 1 ? UINT64_C(1) << (small - 2) : 0;
        job->share[i] = (job->share[i] - ((bit - product) << small) - offset) & kern_ring_mask(form->ring);
    }
}

static enum base_status step(struct pair_party *p, struct pair_job *base, int stage, struct base_error *error)
{
    struct pair_grow *job = (struct pair_grow *)base;
    if (stage == 2) {
        end(p, job);
        return BASE_OK;
    }
    enum base_status status = job->and.job.step(p, &job->and.job, stage, error);
    return status == BASE_OK && stage == 1 ? send_bits(p, job, error) : status;
}

static void finish(struct pair_job *base)
{
    struct pair_grow *job = (struct pair_grow *)base;
    base_free_secret(&job->rho);
    base_free_secret(&job->both);
    base_free_secret(&job->bit[0]);
    base_free_secret(&job->bit[1]);
    if (job->and.job.finish != NULL)
        job->and.job.finish(&job->and.job);
}

enum base_status pair_grow_init(struct pair_grow *ret, const struct pair_party *p, struct pair_grow_form form, const uint64_t *from,
                                uint64_t *share, struct base_error *error)
{
    enum base_status status;
    *ret = (struct pair_grow){.job = {step, finish, pair_grow_cost(form)}, .form = form, .from = from, .share = share};
    TRY_THAT(form.cut >= 0 && form.from - form.cut >= 3 && form.from <= 64 && form.ring <= 64 && form.ring > form.from - form.cut, error,
             BASE_ERR_INTERNAL, "shares of %d bits, cut by %d, do not grow to %d", form.from, form.cut, form.ring);
    TRY(base_alloc(&ret->rho, form.count + 1, sizeof(uint64_t), error));
    TRY(base_alloc(&ret->both, form.count + 1, sizeof(uint64_t), error));
    TRY(base_alloc(&ret->bit[0], form.count + 1, sizeof(uint64_t), error));
    TRY(base_alloc(&ret->bit[1], form.count + 1, sizeof(uint64_t), error));
    TRY(pair_and_init(&ret->and, p, and_form(&form), ret->rho, ret->both, error));
out:
    if (status != BASE_OK)
        finish(&ret->job);
    return status;
}
