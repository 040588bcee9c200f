/* One decode step of attention, operator by operator, at the sizes of MPCache's measurements (arXiv
 * 2501.06807): 32 heads of 32 channels, 512 cached rows, clusters of 16.
 *
 * Calls and widths are those of engine/attention_ceilings.c from round 4 on, under the plan that a public
 * shape of this size gets from `cachet cost`: scores within 64 bits below the ceilings, a headroom of 24.
 * Attention alone: projections, norms and residual, which the engine has in the same rounds, are not part of
 * SPU's figures, so this does not go through the engine's decoder. */
#ifndef CACHET_BENCH_ATTENTION_OPERATORS_H
#define CACHET_BENCH_ATTENTION_OPERATORS_H

#include "bench/operators.h"
#include "engine/gates.h"

enum { BENCH_HEADS = 32, BENCH_CHANNELS = 32, BENCH_ROWS = 512, BENCH_CLUSTER = 16 };

/* What the operators' `setting` points to. */
struct bench_attention_setting {
    struct eng_model_shape shape;
    struct eng_plan plan;
    struct eng_gates gates;
    struct eng_ceiling_widths w;
    int ring_qk; /* of queries and cached keys */
    double query_scale;
};

/* Zero-initialise *ret; free with bench_attention_finish whatever the answer. */
BASE_MUST_USE enum base_status bench_attention_init(struct bench_attention_setting *ret,
                                                    struct base_error *error);
void bench_attention_finish(struct bench_attention_setting *setting);

/* Operator `which` of those below the count, attention to every row first, ready to be measured; it borrows
 * the setting. */
struct bench_operator bench_attention_operator(const struct bench_attention_setting *setting, size_t which);
size_t bench_attention_operator_count(void);

#endif
