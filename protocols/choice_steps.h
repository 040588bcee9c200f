/* What the files of choice.h share: its rounds, one step each. */
#ifndef CACHET_PROTOCOLS_CHOICE_STEPS_H
#define CACHET_PROTOCOLS_CHOICE_STEPS_H

#include "protocols/choice.h"
#include "protocols/kept_rows.h"

/* One round: takes what the one before opened, queues its own openings. */
struct sec_choice_step {
    void (*queue)(struct mpc_party *p, struct sec_choice *choice);
    /* Its declared cost without the round; low: bits of the low digit, 0 with one digit. */
    struct mpc_cost (*cost)(const struct sec_choice_form *form, int low, int level);
    int level;
};

struct sec_choice_path {
    const struct sec_choice_step *step;
    size_t count;
};

/* The steps up to flags; of pairs whose result needs no flags, up to the result. */
extern const struct sec_choice_path sec_choice_pairs, sec_choice_one_digit, sec_choice_two_digits;

/* Whether the flags are the result or become rows in index order (kept_rows.h). */
static inline bool sec_choice_makes_flags(const struct sec_choice_form *form)
{
    return form->flags_only || form->ordered || form->way != SEC_CHOICE_PAIRS;
}

/* The ring of the flags: the result's, or what the prefix sums of kept rows need. */
static inline int sec_choice_flags_ring(const struct sec_choice_form *form)
{
    return form->flags_only ? form->ring : sec_kept_bits(form->k);
}

/* Whether the role has values to compute on: shares, or the twin's. */
static inline bool sec_choice_computes(const struct mpc_party *p)
{
    return !mpc_failed(p) && (mpc_computes(p) || p->role == MPC_CLEAR);
}

/* Own share of 1. */
static inline uint64_t sec_choice_one(const struct mpc_party *p)
{
    return p->role == MPC_LEFT || p->role == MPC_CLEAR;
}

/* `count` zeros where the role computes; NULL elsewhere. */
uint64_t *sec_choice_zeros(struct mpc_party *p, size_t count);

#endif
