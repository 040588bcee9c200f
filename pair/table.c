#include "pair/table.h"

#include "base/memory.h"

#include <string.h>

static struct pair_seeds_form seeds_form(const struct pair_table_form *form)
{
    return (struct pair_seeds_form){.owner = form->owner, .count = form->count, .h = form->h};
}

struct pair_cost pair_table_cost(struct pair_table_form form)
{
    struct pair_cost cost = pair_seeds_cost(seeds_form(&form));
    cost.bytes[form.owner] += mpc_bits(form.count << form.h, form.ring);
    return cost;
}

void pair_table_turn(uint64_t *words, int h, uint64_t by, uint64_t *scratch)
{
    size_t all = (size_t)1 << h;
    for (int b = 0; b < h; b++) {
        uint64_t set = 0 - (by >> b & 1);
        memcpy(scratch, words, all * sizeof *words);
        for (size_t i = 0; i < all; i++)
            words[i] ^= (scratch[i] ^ scratch[(i - ((size_t)1 << b)) & (all - 1)]) & set;
    }
}

/* Sums over a square of words, row i from leaf i: column sums, and diagonals[x] = sum of the words at (i, x + i). Row `lost` counts for
 * nothing (a number that is no row: all count). */
static void add_square(const struct pair_party *p, const struct pair_block *leaf, int h, uint64_t lost, struct pair_block *words,
                       uint64_t *columns, uint64_t *diagonals)
{
    size_t all = (size_t)1 << h;
    memset(columns, 0, all * sizeof *columns);
    memset(diagonals, 0, all * sizeof *diagonals);
    for (size_t j = 0; j < all; j++) {
        if (j % 2 == 0)
            pair_hash(p, words, leaf, all, j / 2, 0, pair_hash_high(PAIR_HASH_ROW, 0));
        for (size_t i = 0; i < all; i++) {
            uint64_t word = words[i].word[j % 2] & pair_differ_mask(i, lost);
            columns[j] += word;
            diagonals[(j - i) & (all - 1)] += word;
        }
    }
}

/* Work space of one table. */
struct square {
    uint64_t columns[1 << PAIR_TABLE_MOST_BITS], diagonals[1 << PAIR_TABLE_MOST_BITS], scratch[1 << PAIR_TABLE_MOST_BITS];
    struct pair_block words[1 << PAIR_TABLE_MOST_BITS];
};

static void send_table(const struct pair_party *p, struct pair_table *job, size_t k, struct square *s)
{
    size_t all = (size_t)1 << job->form.h;
    add_square(p, job->seeds.leaf + k * all, job->form.h, all, s->words, s->columns, s->diagonals);
    for (size_t i = 0; i < all; i++) {
        job->sent[k * all + i] = job->table[k * all + i] - s->diagonals[i];
        job->share[k * all + i] = s->columns[i] & kern_ring_mask(job->form.ring);
    }
}

static void take_table(const struct pair_party *p, struct pair_table *job, size_t k, struct square *s)
{
    size_t all = (size_t)1 << job->form.h;
    uint64_t index = job->seeds.index[k];
    add_square(p, job->seeds.leaf + k * all, job->form.h, index, s->words, s->columns, s->diagonals);
    for (size_t i = 0; i < all; i++)
        s->diagonals[i] += job->sent[k * all + i];
    pair_table_turn(s->diagonals, job->form.h, index, s->scratch);
    for (size_t i = 0; i < all; i++)
        job->share[k * all + i] = (s->diagonals[i] - s->columns[i]) & kern_ring_mask(job->form.ring);
}

static enum base_status step(struct pair_party *p, struct pair_job *base, int stage, struct base_error *error)
{
    struct pair_table *job = (struct pair_table *)base;
    enum base_status status;
    struct square *square = NULL;
    bool owns = p->id == job->form.owner;
    size_t words = job->form.count << job->form.h;
    TRY(pair_seeds_step(p, &job->seeds, stage, error));
    if (stage == 0)
        goto out;
    TRY(base_alloc(&square, 1, sizeof *square, error));
    for (size_t k = 0; owns == (stage == 1) && k < job->form.count; k++)
        (owns ? send_table : take_table)(p, job, k, square);
    if (stage == 1)
        TRY(owns ? pair_put(p, job->sent, words, job->form.ring, error) : pair_await(p, job->sent, words, job->form.ring, error));
out:
    base_free_secret(&square);
    return status;
}

static void finish(struct pair_job *base)
{
    struct pair_table *job = (struct pair_table *)base;
    pair_seeds_finish(&job->seeds);
    base_free(&job->sent);
}

enum base_status pair_table_init(struct pair_table *ret, const struct pair_party *p, struct pair_table_form form, const uint64_t *index,
                                 const uint64_t *table, uint64_t *share, struct base_error *error)
{
    enum base_status status;
    *ret = (struct pair_table){.job = {step, finish, pair_table_cost(form)}, .form = form, .table = table, .share = share};
    TRY_THAT(form.h <= PAIR_TABLE_MOST_BITS && form.ring >= 1 && form.ring <= 64, error, BASE_ERR_INTERNAL, "tables of %d bits in a ring of %d",
             form.h, form.ring);
    TRY(base_alloc(&ret->sent, (form.count << form.h) + 1, sizeof *ret->sent, error));
    TRY(pair_seeds_init(&ret->seeds, seeds_form(&form), index, error));
out:
    if (status != BASE_OK)
        finish(&ret->job);
    return status;
}
