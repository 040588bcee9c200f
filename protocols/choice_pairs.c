#include "protocols/choice_steps.h"
#include "protocols/sign.h"

/* Ranks from all pairs. For i < j the bit [x_j < x_i] says that i stands before j: it goes into the rank of
 * j, and its complement into the rank of i. So of equal scores the later one stands first, and the ranks of a
 * row are a permutation of 0 .. n - 1. */

static size_t pairs_of(const struct sec_choice_form *form)
{
    return form->rows * (form->n * (form->n - 1) / 2);
}

static int rank_bits(const struct sec_choice_form *form)
{
    return base_bits_of(form->n - 1);
}

/* --- signs of all differences --- */

static void compare_pairs(struct mpc_party *p, struct sec_choice *choice)
{
    const struct sec_choice_form *form = &choice->form;
    size_t pairs = pairs_of(form), n = form->n, at = 0, mark = base_arena_mark(&p->arena);
    bool values = p->role != MPC_COUNT;
    uint32_t *early = values ? mpc_bytes(p, pairs * sizeof *early) : NULL,
             *late = values ? mpc_bytes(p, pairs * sizeof *late) : NULL;
    for (size_t r = 0; values && !mpc_failed(p) && r < form->rows; r++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = i + 1; j < n; j++, at++) {
                early[at] = (uint32_t)(r * n + i);
                late[at] = (uint32_t)(r * n + j);
            }
    struct mpc_wire x = mpc_reduce(p, choice->scores, form->bits + 1);
    struct mpc_wire difference =
        mpc_add(p, mpc_gather(p, x, late, pairs), mpc_gather(p, x, early, pairs), -1, form->bits);
    if (p->role == MPC_COUNT)
        base_arena_release(&p->arena, mark);
    choice->bit = sec_sign(p, difference, form->bits + 1, "signs of differences");
}

static struct mpc_cost compare_pairs_cost(const struct sec_choice_form *form, int low, int level)
{
    (void)low;
    (void)level;
    return sec_sign_cost(pairs_of(form), form->bits + 1);
}

/* --- ranks --- */

/* Adds the bits of each pair to the ranks of both. */
static void add_ranks(const struct mpc_party *p, const struct sec_choice_form *form, const uint64_t *bit,
                      uint64_t *rank)
{
    size_t n = form->n;
    uint64_t one = sec_choice_one(p);
    for (size_t r = 0; r < form->rows; r++, rank += n)
        for (size_t i = 0; i < n; i++)
            for (size_t j = i + 1; j < n; j++, bit++) {
                rank[j] += *bit;
                rank[i] += one - *bit;
            }
}

static void open_ranks(struct mpc_party *p, struct sec_choice *choice)
{
    const struct sec_choice_form *form = &choice->form;
    size_t pairs = pairs_of(form), count = form->rows * form->n;
    int bits = rank_bits(form);
    struct sec_bit_terms terms = {.ring = bits, .count = pairs, .bit = {choice->bit}};
    sec_terms_deal(p, &terms, sec_term_subsets(1));
    uint64_t *bit = sec_choice_zeros(p, pairs), *rank = sec_choice_zeros(p, count);
    sec_term_add(p, &terms, 1, 1, bit);
    if (sec_choice_computes(p))
        add_ranks(p, form, bit, rank);
    choice->opened = mpc_open_share(
        p, rank, count, (struct mpc_opening_form){.ring = bits, .bound = bits, .ulp = -1, .label = "ranks"});
}

static struct mpc_cost open_ranks_cost(const struct sec_choice_form *form, int low, int level)
{
    (void)low;
    (void)level;
    return mpc_cost_add(sec_terms_cost(sec_term_subsets(1), pairs_of(form), rank_bits(form)),
                        mpc_open_share_cost(form->rows * form->n, rank_bits(form), 0));
}

/* --- flags [rank < k], or rows [rank = s] --- */

struct ranked {
    const struct sec_choice_form *form;
    size_t m; /* rows of the result for each run of scores */
    size_t row, i;
    uint64_t *out;
};

static void take_rank(void *context, size_t element, const uint64_t *hot)
{
    struct ranked *to = context;
    size_t n = to->form->n;
    if (sec_choice_makes_flags(to->form))
        for (size_t s = 0; s < to->form->k; s++)
            to->out[element] += hot[s];
    else
        for (size_t s = 0; s < to->m; s++)
            to->out[(to->row * to->m + s) * n + to->i] = hot[s];
    if (++to->i == n) {
        to->i = 0;
        to->row++;
    }
}

static struct sec_one_hot rank_hot(const struct sec_choice_form *form)
{
    return (struct sec_one_hot){.bits = rank_bits(form),
                                .ring =
                                    sec_choice_makes_flags(form) ? sec_choice_flags_ring(form) : form->ring};
}

static size_t ranked_count(const struct sec_choice_form *form)
{
    return sec_choice_makes_flags(form) ? form->rows * form->n : sec_choice_count(*form);
}

static void open_ranked(struct mpc_party *p, struct sec_choice *choice)
{
    const struct sec_choice_form *form = &choice->form;
    struct sec_one_hot hot = rank_hot(form);
    size_t count = ranked_count(form);
    struct ranked to = {.form = form, .m = form->lost ? form->n : form->k, .out = sec_choice_zeros(p, count)};
    sec_one_hot_read(p, hot, choice->opened, NULL, take_rank, &to);
    choice->opened = mpc_open_share(p, to.out, count, sec_one_hot_opening(hot.ring, "chosen by rank"));
}

static struct mpc_cost open_ranked_cost(const struct sec_choice_form *form, int low, int level)
{
    struct sec_one_hot hot = rank_hot(form);
    (void)low;
    (void)level;
    return mpc_cost_add(sec_one_hot_cost(hot, form->rows * form->n),
                        mpc_open_share_cost(ranked_count(form), hot.ring, 0));
}

static const struct sec_choice_step steps[] = {
    {compare_pairs, compare_pairs_cost, 0},
    {open_ranks, open_ranks_cost, 0},
    {open_ranked, open_ranked_cost, 0},
};
const struct sec_choice_path sec_choice_pairs = {steps, sizeof steps / sizeof *steps};
