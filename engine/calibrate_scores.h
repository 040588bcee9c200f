/* Ceilings, ranges and headroom of a layer's attention from the scores of calibration text; private to
 * engine/calibrate.c.
 *
 * A head's scores are measured from zero or from the row's own score, whichever leaves less headroom: the
 * bits from its ceiling down to the smallest row maximum. Measured from the own score the headroom holds for
 * every input, because the own score is in its row. Heads for which neither holds find their row maximum on
 * shares, in the layers where that is all that holds.
 * Margins: above the largest score 2 nats, a tenth of the span that was seen (6 nats at most) and one cell of
 * the guard; below the smallest 30 % of the span (at most 8 nats and a tenth of it); below the smallest row
 * maximum 1.5 nats (measured from zero). The bound of a row's sum lets all its scores be as large as the
 * largest that was seen, and a bit more. Source: specification, dealtlayer.py (observe, ranges). */
#ifndef CACHET_ENGINE_CALIBRATE_SCORES_H
#define CACHET_ENGINE_CALIBRATE_SCORES_H

#include "engine/calibrate.h"

enum { ENG_REFERENCES = ENG_FROM_OWN + 1 };

/* What was seen of one head, in nats above zero and above the row's own score. */
struct eng_head_extremes {
    double top[ENG_REFERENCES];    /* largest score */
    double bottom[ENG_REFERENCES]; /* smallest score */
    double row[ENG_REFERENCES];    /* smallest row maximum */
    double q, uq;                  /* largest magnitudes, q with 1 / rms and u_q without */
};

void eng_head_extremes_init(struct eng_head_extremes *head);
/* Scores of one row, its own last. */
void eng_head_see(struct eng_head_extremes *head, const float *score, size_t count);

/* Writes the cheapest ceilings that hold into the plan's layer, or leaves it as it is when none do; bits of V
 * and norms must stand. Errors: BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status eng_choose_ceilings(struct eng_plan *plan, size_t layer,
                                                   const struct eng_head_extremes *heads, bool *ret_found,
                                                   struct base_error *error);

#endif
