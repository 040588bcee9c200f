/* The gather-free attend, beside moving the chosen rows: scores of all rows move to the hidden places of the
 * chosen units, e moves back, zero elsewhere, and one weighted sum goes over all of V. K and V stay in place.
 *
 * A row that is not chosen costs its score, opened and moved, and its e, moved back: 4 ring elements of a
 * score and 4 of e, 35 B per head at these widths, where attending to it costs 66.
 * Source: specification, kv.py (attend_select). */
#ifndef CACHET_BENCH_GATHER_FREE_OPERATORS_H
#define CACHET_BENCH_GATHER_FREE_OPERATORS_H

#include "bench/operators.h"

/* `setting` is to be filled in (bench/attention_operators.h). */
extern const struct bench_operator bench_gather_free_operators[];
extern const size_t bench_gather_free_operator_count;

#endif
