#include "pair/seeds.h"

#include "base/memory.h"
#include "pair/ot.h"

#include <string.h>

struct pair_cost pair_seeds_cost(struct pair_seeds_form form)
{
    struct pair_cost cost = {.exchanges = 2};
    uint64_t levels = form.count * (uint64_t)form.h;
    cost.bytes[3 - form.owner] = mpc_bits(levels, 1);
    cost.bytes[form.owner] = sizeof(struct pair_block) * levels;
    cost.cots[form.owner] = levels;
    return cost;
}

enum base_status pair_seeds_init(struct pair_seeds *ret, struct pair_seeds_form form, const uint64_t *index, struct base_error *error)
{
    enum base_status status;
    *ret = (struct pair_seeds){.form = form, .index = index};
    TRY_THAT(form.count >= 1 && (form.owner == 1 || form.owner == 2) && form.h >= 1 && form.h <= PAIR_SEEDS_MOST_BITS, error, BASE_ERR_INTERNAL,
             "%zu seed trees of %d levels at P%d", form.count, form.h, form.owner);
    size_t levels = form.count * (size_t)form.h;
    TRY(base_alloc(&ret->leaf, form.count << form.h, sizeof *ret->leaf, error));
    TRY(base_alloc(&ret->sum, levels + 1, sizeof *ret->sum, error));
    TRY(base_alloc(&ret->own, 2 * levels + 1, sizeof *ret->own, error));
    TRY(base_alloc(&ret->asked, levels + 1, sizeof *ret->asked, error));
out:
    if (status != BASE_OK)
        pair_seeds_finish(ret);
    return status;
}

void pair_seeds_finish(struct pair_seeds *seeds)
{
    base_free_secret(&seeds->leaf);
    base_free(&seeds->sum);
    base_free_secret(&seeds->own);
    base_free_secret(&seeds->asked);
}

/* 1 where the sum of the right nodes is wanted. */
static void wanted_sides(const struct pair_seeds *s, uint64_t *ret)
{
    for (int level = 0; level < s->form.h; level++)
        for (size_t t = 0; t < s->form.count; t++)
            ret[(size_t)level * s->form.count + t] = 1 ^ pair_path_bit(s->index[t], s->form.h, level);
}

static enum base_status ask(struct pair_party *p, struct pair_seeds *s, struct base_error *error)
{
    enum base_status status;
    size_t levels = s->form.count * (size_t)s->form.h;
    struct pair_cots cots;
    TRY(pair_cot_take(p, s->form.owner, levels, &cots, error));
    s->key = cots.key;
    if (p->id == s->form.owner) {
        TRY(pair_await(p, s->asked, levels, 1, error));
        goto out;
    }
    wanted_sides(s, s->asked);
    pair_ot_ask(&cots, s->asked, s->asked);
    TRY(pair_put(p, s->asked, levels, 1, error));
out:
    return status;
}

static enum base_status answer(struct pair_party *p, struct pair_seeds *s, struct base_error *error)
{
    enum base_status status;
    size_t levels = s->form.count * (size_t)s->form.h;
    if (p->id != s->form.owner)
        return pair_await(p, s->sum[0].word, 2 * levels, 64, error);
    struct pair_block delta = pair_delta(p);
    TRY(pair_ggm_grow(p, s->form.count, s->form.h, &delta, s->leaf, (struct pair_block(*)[2])s->own, error));
    for (size_t i = 0; i < levels; i++)
        s->sum[i] = pair_xor(s->own[2 * i], pair_xor(s->key[i], pair_times(delta, s->asked[i])));
    TRY(pair_put(p, s->sum[0].word, 2 * levels, 64, error));
out:
    base_wipe(&delta, sizeof delta);
    return status;
}

static enum base_status take(struct pair_party *p, struct pair_seeds *s, struct base_error *error)
{
    size_t levels = s->form.count * (size_t)s->form.h;
    if (p->id == s->form.owner)
        return BASE_OK;
    for (size_t i = 0; i < levels; i++)
        s->own[i] = pair_xor(s->sum[i], s->key[i]);
    enum base_status status = pair_ggm_grow_around(p, s->form.count, s->form.h, true, s->index, s->own, s->leaf, error);
    if (status == BASE_OK)
        pair_ggm_absolute(s->form.count, s->form.h, s->index, s->leaf);
    return status;
}

enum base_status pair_seeds_step(struct pair_party *p, struct pair_seeds *seeds, int stage, struct base_error *error)
{
    return stage == 0 ? ask(p, seeds, error) : stage == 1 ? answer(p, seeds, error) : take(p, seeds, error);
}
