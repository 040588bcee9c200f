/* One decoder layer (engine/decoder.h has the schedule); private to engine/. */
#ifndef CACHET_ENGINE_LAYER_H
#define CACHET_ENGINE_LAYER_H

#include "engine/decoder.h"

/* n rows from position `first` through one layer. */
struct eng_step {
    struct eng_decoder *decoder;
    struct mpc_party *p;
    size_t layer;
    size_t n;
    size_t first;
    const int64_t *cos, *sin; /* [n][head_dim / 2], plan.fc fraction bits */
    uint32_t *slots;          /* [n]: of the new rows, in the store that they attend to */
    const struct eng_lanes *lanes; /* whose rows these are, one each; NULL: all are the decoder's */
};

/* Attention of rows that belong to several lanes, from round 2 on; u is that of all rows. */
struct eng_projections;
BASE_MUST_USE enum base_status eng_attention_lanes(const struct eng_step *step, const struct eng_projections *u,
                                                   struct mpc_wire *ret_o);
/* After the last layer: what each lane's policy does between steps. */
BASE_MUST_USE enum base_status eng_close_lanes(const struct eng_lanes *lanes, struct mpc_party *p);
/* What a decoder's policy does first in a round (mpc_party.before_round): of one decoder, and of lanes. */
void eng_before_round(void *decoder, struct mpc_party *p);
void eng_before_round_of_lanes(void *lanes, struct mpc_party *p);

/* x [n][width] in Z_2^ring -> *ret, the same. */
BASE_MUST_USE enum base_status eng_layer_run(const struct eng_step *step, struct mpc_wire x,
                                             struct mpc_wire *ret);

/* Parts of it, in their own files. */
BASE_MUST_USE enum base_status eng_attention_run(const struct eng_step *step, struct mpc_wire x,
                                                 struct mpc_wire *ret_o);
BASE_MUST_USE enum base_status eng_mlp_run(const struct eng_step *step, struct mpc_wire x,
                                           struct mpc_wire *ret);

/* What writes the residual: a matrix, its bias (no rows: none) and the wire that bounds their result. */
struct eng_output {
    const struct mpc_matrix *matrix, *bias;
    enum eng_wire wire;
};
/* y = W h + c cut to the residual's fraction, extended and added to x: two rounds. */
BASE_MUST_USE enum base_status eng_residual_add(const struct eng_step *step, struct mpc_wire x,
                                                struct mpc_wire h, struct eng_output output,
                                                struct mpc_wire *ret);
/* sum x^2 of each row as the norm's gate reads it. Queues one opening. */
struct mpc_wire eng_sum_squares(const struct eng_step *step, struct mpc_wire x, int norm);

/* What is declared from here on belongs to `class`; returns what it belonged to, to be put back. */
static inline struct mpc_cost *eng_account(const struct eng_step *step, enum eng_class class)
{
    struct mpc_cost *before = step->p->account;
    step->p->account = &step->decoder->account[class];
    return before;
}

/* Two parties without P0 make factors of products ready (mpc_ready) in a round of their own, if there is
 * one that needs it; nothing with P0. */
static inline enum base_status eng_ready_round(const struct eng_step *step)
{
    return step->p->maker == NULL || step->p->pending_count == 0 ? step->p->status : mpc_round(step->p);
}

/* A bound of `bits` integer bits at `fraction` fraction bits: at least 1. */
static inline int eng_bound(int fraction, int bits)
{
    return fraction + bits < 1 ? 1 : fraction + bits;
}

#endif
