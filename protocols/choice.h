/* The k largest of each of `rows` runs of n secret scores, as secret flags or secret one-hot rows; always
 * exactly k, and NOTHING is opened.
 *
 * Of equal scores the later index comes first.
 *   SEC_CHOICE_PAIRS       the sign of every difference gives ranks; fewest rounds, n^2 / 2 comparisons
 *   SEC_CHOICE_ONE_DIGIT   suffix counts C_v of one histogram; the threshold is #{v >= 1: C_v >= k}; of the
 *                          scores that equal it, the last ones fill the places left, by a prefix count
 *   SEC_CHOICE_TWO_DIGITS  the same on the high digits; then on the low digits of the scores whose high
 *                          digit is the threshold, with the one-hot rows times the masked bit of that (a
 *                          second dealt row with rho times the first)
 *
 * Counts, thresholds and places are wires under fresh masks, bits are masked: what each party sees is uniform
 * whatever the scores.
 *
 * A CHOICE IS RESUMABLE: sec_choice_queue takes what the last round opened and queues the openings of the
 * next one, so its rounds can be those of other work, or of other choices. Nothing but struct sec_choice
 * holds state; its arrays come from p->arena at the time of each call and live until the choice is complete.
 *
 * Shapes: scores [rows][n] -> flags [rows][n] (flags_only), or one-hot rows [rows][m][n], m = k, or m = n
 * with `lost`: the n - k others follow. Rows are in index order (kept ones by index, then lost ones by
 * index); those of SEC_CHOICE_PAIRS are in rank order, for one round less, unless `ordered`.
 * Units: scores are whole, 0 <= x < 2^bits, in a ring of bits + 1 at least; their fraction is not looked at.
 * Results are exactly 0 or 1 in Z_2^ring.
 * Cost: sec_choice_cost; rounds: PAIRS 3 (ordered rows 4), ONE_DIGIT 7 (rows 8), TWO_DIGITS 12 (rows 13).
 * Reveals: nothing. Errors: BASE_ERR_RANGE for a form that its way cannot do; scores outside wrap, and the
 * twin counts them.
 * Source: specification, README 9.1, rank.py (pairs_hidden, threshold) and kv.py (keep_index). */
#ifndef CACHET_PROTOCOLS_CHOICE_H
#define CACHET_PROTOCOLS_CHOICE_H

#include "protocols/bit_terms.h"

enum sec_choice_way { SEC_CHOICE_PAIRS, SEC_CHOICE_ONE_DIGIT, SEC_CHOICE_TWO_DIGITS };
enum {
    SEC_CHOICE_WAYS = 3,
    SEC_CHOICE_MOST_BITS = 16,
    SEC_CHOICE_DIGIT_BITS = 9,
    SEC_CHOICE_MOST_N = 1 << 13
};

struct sec_choice_form {
    size_t rows, n, k; /* 0 < k < n <= SEC_CHOICE_MOST_N */
    int bits; /* of a score: 1 to SEC_CHOICE_MOST_BITS; one digit: to SEC_CHOICE_DIGIT_BITS */
    enum sec_choice_way way;
    int ring; /* of the result */
    bool flags_only;
    bool lost;    /* rows only: the others, too */
    bool ordered; /* PAIRS: rows in index order. The other ways always are */
    bool pair;    /* two parties without P0: signs of SEC_SIGN_TABLE_BITS at most; only sec_choice_cheapest asks */
};

/* One run. Members other than form and result are the run's own. */
struct sec_choice {
    struct sec_choice_form form;
    int stage;                     /* rounds queued so far */
    int low;                       /* bits of the low digit; 0: one digit */
    int level;                     /* 0: the high or only digit, 1: the low one */
    struct mpc_wire scores, digit; /* digit: of the level */
    struct mpc_wire opened;        /* what the last round opened, a wire */
    struct sec_masked_bit bit;     /* or masked bits: of a sign, */
    struct sec_masked_bit zero;    /* and of [= 0] beside it */
    struct sec_bit_terms terms;    /* bits of each score */
    struct mpc_wire result;        /* complete once sec_choice_queue has answered false */
};

void sec_choice_start(struct sec_choice *ret, struct sec_choice_form form, struct mpc_wire scores);
/* Takes what the last round opened and queues the openings of the next one; false when nothing is left to do
 * (the result is complete) or the party has failed. Between two calls lies exactly one mpc_round. */
bool sec_choice_queue(struct mpc_party *p, struct sec_choice *choice);
/* All rounds. Errors: of mpc_round, or the form's. */
BASE_MUST_USE enum base_status sec_choice_eval(struct mpc_party *p, struct sec_choice_form form,
                                               struct mpc_wire scores, struct mpc_wire *ret);

/* Exact, rounds included. `form` must be one that its way can do. */
struct mpc_cost sec_choice_cost(struct sec_choice_form form);
uint64_t sec_choice_rounds(struct sec_choice_form form);
/* Elements of the result. */
size_t sec_choice_count(struct sec_choice_form form);
/* The way of fewest bytes among those of at most most_rounds rounds; SEC_CHOICE_PAIRS if there is none.
 * form.way is not read. Two parties: among those whose signs they can make. */
enum sec_choice_way sec_choice_cheapest(struct sec_choice_form form, uint64_t most_rounds);

extern const struct sec_gate sec_gate_choice_pairs, sec_gate_choice_one_digit, sec_gate_choice_two_digits;

#endif
