/* The operators of a decode step that attends to 48 rows of 512: three units of 16 rows that each head
 * chooses.
 *
 * Ours scores a unit by the sum of its keys and uses a set for several steps; MPCache's (arXiv 2501.06807)
 * scores it by q . (alpha high + (1 - alpha) low), its largest and smallest key per channel, alpha = 0.6, and
 * chooses at every step. Calls are those of kvcache/selection.c. Both open nothing, where SPU's choice opens
 * the bits of its comparisons. */
#ifndef CACHET_BENCH_SELECTION_OPERATORS_H
#define CACHET_BENCH_SELECTION_OPERATORS_H

#include "bench/operators.h"

/* `setting` is to be filled in (bench/attention_operators.h). */
extern const struct bench_operator bench_selection_operators[];
extern const size_t bench_selection_operator_count;

#endif
