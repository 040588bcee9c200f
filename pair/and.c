#include "pair/and.h"

#include "base/memory.h"
#include "pair/ot.h"

#include <string.h>

struct pair_cost pair_and_cost(struct pair_and_form form)
{
    struct pair_cost cost = {.exchanges = 1};
    cost.bytes[form.sender] = mpc_bits(form.count, form.ring);
    cost.cots[form.sender] = form.count;
    return cost;
}

static struct pair_cots cots_of(const struct pair_and *a)
{
    return (struct pair_cots){.first = a->first, .count = a->form.count, .key = a->key};
}

/* The bit that the receiver "asks" with is its choice bit itself, so e = 0. */
static enum base_status answer(struct pair_party *p, struct pair_and *a, struct base_error *error)
{
    enum base_status status;
    size_t n = a->form.count;
    struct pair_cots cots;
    TRY(pair_cot_take(p, a->form.sender, n, &cots, error));
    a->first = cots.first;
    a->key = cots.key;
    if (p->id != a->form.sender) {
        for (size_t i = 0; i < n; i++)
            a->rho[i] = cots.choice[i];
        TRY(pair_await(p, a->sent, n, a->form.ring, error));
        goto out;
    }
    uint64_t *asked = a->sent + n;
    memset(asked, 0, n * sizeof *asked);
    mpc_stream_words(&p->own, a->rho, n, 1);
    pair_ot_answer(p, a->form.sender, &cots, 1, asked, a->rho, a->sent, a->share, a->scratch);
    TRY(pair_put(p, a->sent, n, a->form.ring, error));
out:
    return status;
}

static enum base_status step(struct pair_party *p, struct pair_job *job, int stage, struct base_error *error)
{
    struct pair_and *a = (struct pair_and *)job;
    struct pair_cots cots = cots_of(a);
    if (stage == 0)
        return answer(p, a, error);
    if (p->id != a->form.sender)
        pair_ot_take(p, a->form.sender, &cots, 1, a->rho, a->sent, a->share, a->scratch);
    for (size_t i = 0; i < a->form.count; i++)
        a->share[i] &= kern_ring_mask(a->form.ring);
    return BASE_OK;
}

static void finish(struct pair_job *job)
{
    struct pair_and *a = (struct pair_and *)job;
    base_free_secret(&a->sent);
    base_free_secret(&a->scratch);
}

enum base_status pair_and_init(struct pair_and *ret, const struct pair_party *p, struct pair_and_form form, uint64_t *rho, uint64_t *share,
                               struct base_error *error)
{
    enum base_status status;
    *ret = (struct pair_and){.job = {step, finish, pair_and_cost(form)}, .form = form, .rho = rho, .share = share};
    TRY_THAT(form.count >= 1 && (form.sender == 1 || form.sender == 2) && form.ring >= 1 && form.ring <= 64, error, BASE_ERR_INTERNAL,
             "%zu ANDs in a ring of %d bits, sender P%d", form.count, form.ring, form.sender);
    TRY(base_alloc(&ret->sent, 2 * form.count + 1, sizeof(uint64_t), error));
    TRY(base_alloc(&ret->scratch, pair_ot_scratch(form.count) + 1, sizeof *ret->scratch, error));
out:
    if (status != BASE_OK)
        finish(&ret->job);
    return status;
}
