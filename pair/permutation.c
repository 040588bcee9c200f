#include "pair/permutation.h"

#include "base/bits.h"
#include "base/memory.h"

#include <string.h>

static int levels_of(size_t rows)
{
    return rows <= 2 ? 1 : base_log_ceil(rows);
}

static struct pair_seeds_form seeds_form(const struct pair_permutation_form *form)
{
    return (struct pair_seeds_form){.owner = form->owner, .count = form->rows, .h = levels_of(form->rows)};
}

struct pair_cost pair_permutation_cost(struct pair_permutation_form form)
{
    struct pair_cost cost = pair_seeds_cost(seeds_form(&form));
    if (form.given)
        cost.bytes[form.owner] += mpc_bits(form.rows * form.width, form.ring);
    return cost;
}

/* Adds tree j of the square: its words to the columns, their sum to line j. Leaf `lost` counts for nothing. words: [2^h]. */
static void add_tree(const struct pair_party *p, const struct pair_permutation *job, size_t j, uint64_t lost, struct pair_block *words,
                     uint64_t *columns, uint64_t *lines)
{
    size_t n = job->form.rows, width = job->form.width, all = (size_t)1 << job->seeds.form.h;
    for (size_t w = 0; w < width; w++) {
        uint64_t line = 0;
        if (w % 2 == 0)
            pair_hash(p, words, job->seeds.leaf + j * all, n, w / 2, 0, pair_hash_high(PAIR_HASH_ROW, 0));
        for (size_t i = 0; i < n; i++) {
            uint64_t word = words[i].word[w % 2] & pair_differ_mask(i, lost);
            columns[i * width + w] += word;
            line += word;
        }
        lines[j * width + w] = line;
    }
}

/* Sums of the whole square at either party. */
static enum base_status add_trees(const struct pair_party *p, const struct pair_permutation *job, uint64_t *columns, uint64_t *lines,
                                  struct base_error *error)
{
    size_t n = job->form.rows, all = (size_t)1 << job->seeds.form.h;
    struct pair_block *words = NULL;
    enum base_status status = base_alloc(&words, all, sizeof *words, error);
    memset(columns, 0, n * job->form.width * sizeof *columns);
    for (size_t j = 0; status == BASE_OK && j < n; j++)
        add_tree(p, job, j, job->index == NULL ? all : job->index[j], words, columns, lines);
    base_free_secret(&words);
    return status;
}

static void reduce(const struct pair_permutation *job, uint64_t *words)
{
    for (size_t i = 0; words != NULL && i < job->form.rows * job->form.width; i++)
        words[i] &= kern_ring_mask(job->form.ring);
}

static enum base_status make_rows(struct pair_party *p, struct pair_permutation *job, struct base_error *error)
{
    enum base_status status;
    size_t words = job->form.rows * job->form.width;
    TRY(add_trees(p, job, job->first, job->second, error));
    for (size_t i = 0; job->form.given && i < words; i++)
        job->sums[i] = job->given[i] - job->first[i];
    if (job->form.given)
        TRY(pair_put(p, job->sums, words, job->form.ring, error));
    reduce(job, job->first);
    reduce(job, job->second);
out:
    return status;
}

/* What came for the rows (or zero) and the columns move by pi; the lines go off. */
static enum base_status take_rows(struct pair_party *p, struct pair_permutation *job, struct base_error *error)
{
    size_t n = job->form.rows, width = job->form.width;
    uint64_t *came = job->sums, *columns = job->sums + n * width;
    enum base_status status = add_trees(p, job, columns, job->second, error);
    for (size_t j = 0; status == BASE_OK && j < n; j++)
        for (size_t w = 0; w < width; w++) {
            size_t from = job->order[j] * width + w;
            job->second[j * width + w] = came[from] + columns[from] - job->second[j * width + w];
        }
    reduce(job, job->second);
    return status;
}

static enum base_status step(struct pair_party *p, struct pair_job *base, int stage, struct base_error *error)
{
    struct pair_permutation *job = (struct pair_permutation *)base;
    enum base_status status;
    bool owns = p->id == job->form.owner;
    TRY(pair_seeds_step(p, &job->seeds, stage, error));
    if (stage == 1 && owns)
        TRY(make_rows(p, job, error));
    if (stage == 1 && !owns && job->form.given)
        TRY(pair_await(p, job->sums, job->form.rows * job->form.width, job->form.ring, error));
    if (stage == 2 && !owns)
        TRY(take_rows(p, job, error));
out:
    return status;
}

static void finish(struct pair_job *base)
{
    struct pair_permutation *job = (struct pair_permutation *)base;
    pair_seeds_finish(&job->seeds);
    base_free_secret(&job->index);
    base_free_secret(&job->sums);
}

enum base_status pair_permutation_init(struct pair_permutation *ret, const struct pair_party *p, struct pair_permutation_form form,
                                       const uint32_t *order, const uint64_t *given, uint64_t *first, uint64_t *second,
                                       struct base_error *error)
{
    enum base_status status;
    *ret = (struct pair_permutation){.job = {step, finish, pair_permutation_cost(form)}, .form = form, .order = order, .given = given,
                                     .first = first, .second = second};
    TRY_THAT(form.rows >= 1 && form.width >= 1 && form.ring >= 1 && form.ring <= 64, error, BASE_ERR_INTERNAL,
             "a permutation of %zu rows of %zu words of %d bits", form.rows, form.width, form.ring);
    TRY(base_alloc(&ret->sums, 2 * form.rows * form.width, sizeof *ret->sums, error));
    if (p->id != form.owner) {
        TRY(base_alloc(&ret->index, form.rows, sizeof *ret->index, error));
        for (size_t j = 0; j < form.rows; j++)
            ret->index[j] = order[j];
    }
    TRY(pair_seeds_init(&ret->seeds, seeds_form(&form), ret->index, error));
out:
    if (status != BASE_OK)
        finish(&ret->job);
    return status;
}
