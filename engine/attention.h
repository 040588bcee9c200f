/* What both kinds of attention share; private to engine/. */
#ifndef CACHET_ENGINE_ATTENTION_H
#define CACHET_ENGINE_ATTENTION_H

#include "engine/layer.h"

/* Public bookkeeping of one step's attention: which slots each query row attends to, in the order in which
 * scores are laid out. Scores are rows of (head, query row), each a run of pairs. */
struct eng_pairs {
    size_t rows;      /* heads * n, and one per head more where the step probes */
    size_t answered;  /* heads * n: rows that have an o */
    size_t probes;    /* of a head: the last pairs of its row more, which has those of its own row before them */
    uint32_t *starts; /* [rows + 1] */
    uint32_t *row;    /* [pairs]: row of each pair */
    uint32_t *source; /* [pairs]: where the pair's score lies in the product [answered][used slots], or, behind it,
                         [heads][probes] */
    size_t used;
};

/* Round 1: W x, with RoPE on q and k, and sum x^2. */
struct eng_projections {
    struct mpc_wire q, k, v, squares;
    struct mpc_wire t; /* of two parties, where v waits for it: in the ring of that product (eng_normalise_values) */
};

/* Attention of one decoder's rows, from round 2 on. */
BASE_MUST_USE enum base_status eng_attend(const struct eng_step *step, struct eng_projections *u, struct mpc_wire *ret_o);

/* [first][second][head_dim] -> [second][first][head_dim]: rows of heads to heads of rows, and back. */
struct mpc_wire eng_swap_axes(const struct eng_step *step, struct mpc_wire w, size_t first, size_t second);

/* Whose caches a step fills: the decoder's own, and those of its followers while it reads a prompt. target 0:
 * the step itself. */
size_t eng_targets(const struct eng_step *step);
struct eng_step eng_target(const struct eng_step *step, size_t target);
/* K and V of the new rows into the caches. */
void eng_append(const struct eng_step *step, struct mpc_wire k, struct mpc_wire v);

/* Lets the policy choose what a decode step attends to, by q [heads][n][head_dim], and notes the slots of the
 * new rows. */
BASE_MUST_USE enum base_status eng_choose_rows(const struct eng_step *step, struct mpc_wire q);

/* q . K of every head against every used slot: [heads * n][used]; where the step probes, against its probes, too:
 * [heads][probes], and all of it times the rows of a probe, *ret_log their logarithm. `later`: between kern_hold and kern_settle, and it may be there
 * after kern_settle (mpc_heads_form). */
struct mpc_share eng_score_share(const struct eng_step *step, struct mpc_wire q, bool later, int *ret_log);

/* The pairs of all heads; `own` adds one pair per row that is not in the product (the new row of a deferred
 * step), marked UINT32_MAX in source. Slots are listed once per query row and shared by the heads. */
bool eng_list_pairs(const struct eng_step *step, bool own, struct eng_pairs *ret);

/* Which head a row belongs to. */
size_t eng_row_head(const struct eng_step *step, const struct eng_pairs *pairs, size_t r);

/* What t u is cut to: q and k in Z_2^qk with fu fraction bits, v in Z_2^v with v_frac. */
struct eng_normal_form {
    int qk, v, v_frac;
};
/* Rounds 2 and 3 of rows: u becomes q, k, v = t u, t = rho / rms, [heads][n][head_dim] each. */
BASE_MUST_USE enum base_status eng_normalise_projections(const struct eng_step *step,
                                                         struct eng_projections *u,
                                                         struct eng_normal_form form);
/* Between two parties v may still be u_v: t fits the ring of q and k at once, but that of v a round later. Then queues
 * v in the round of the scores; after it eng_swap_values puts v in the order of heads. Nothing where v is there. */
bool eng_values_wait(const struct eng_projections *u);
void eng_queue_values(const struct eng_step *step, struct eng_projections *u, struct eng_normal_form form);
void eng_swap_values(const struct eng_step *step, struct eng_projections *u);

/* o' = sum e v of every row that has an o: [answered][head_dim]. Between kern_hold and kern_settle it may be there after kern_settle. */
struct mpc_share eng_weighted_sum(const struct eng_step *step, struct mpc_wire e,
                                  const struct eng_pairs *pairs);

/* Sums of e over units of cached rows, for the rows whose attention counts: [rows][units]; units is 0 where
 * none does. */
struct eng_unit_sums {
    struct kv_scores *scores; /* what they are added to */
    size_t rows, units;
    uint32_t *row;              /* [rows]: which rows of the pairs */
    struct mpc_wire sum, score; /* score: what is opened */
};
/* Of every target: [eng_targets]. */
struct eng_unit_sums *eng_unit_sums(const struct eng_step *step, struct mpc_wire e,
                                    const struct eng_pairs *pairs);
/* Ring of divided sums of `fraction` fraction bits. */
int eng_score_ring(const struct eng_unit_sums *sums, int fraction);
/* Queues the opening of what a choice ranks, from the divided sums of one target. */
void eng_queue_scores(const struct eng_step *step, struct mpc_share weight, struct eng_unit_sums *sums);
/* After the round: adds them to the scores of the caches, and lets a choice by them begin. */
void eng_add_scores(const struct eng_step *step, const struct eng_unit_sums *sums);

/* e of rows that stand for several: times their number. Local. */
void eng_weigh_rows(const struct eng_step *step, const struct eng_pairs *pairs, struct mpc_wire *e);

/* From round 2 to o [n][heads * head_dim], and the new rows into the cache. */
BASE_MUST_USE enum base_status eng_attention_maximum(const struct eng_step *step, struct eng_projections *u,
                                                     struct mpc_wire *ret_o);
BASE_MUST_USE enum base_status eng_attention_ceilings(const struct eng_step *step, struct eng_projections *u,
                                                      struct mpc_wire *ret_o);

#endif
