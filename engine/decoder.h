/* The decoder graph on wires: one code path for every role, prefill rows and decode steps.
 *
 * A layer with ceilings, rows and decode alike: 16 rounds (18 where a head finds its maximum)
 *  1  u_q, u_k, u_v = W x (RoPE), s = sum x^2     2  t = rho / rms        3  q, k, v = t u
 *  4  scores = q . K        5  e = 2^-(ceiling - score); extend v         6  1 / S; o' = sum e v
 *  7  o = o' / S            8  y = W_o o           9  extend y, x += y
 * 10  u_gate, u_up, s      11  t                  12  g, p = t u         13  f(g), a wave
 * 14  h = f(g) p           15  y = W_down h       16  extend y, x += y
 *
 * General gates:
 * decode (norm deferred behind the projection), 16 rounds         rows, and decode with plan.fold: 17 rounds
 *  1  u_q, u_k, u_v = W x (RoPE), s = sum x^2                      1  the same
 *  2  t, t^2 = rho / rms;  a = u_q . K, a_own = u_q . u_k          2  t
 *  3  scores = t a, t^2 a_own;  k = t u_k, v = t u_v               3  q, k, v = t u      4  scores = q . K
 *  4, 5  coarse maximum c       6  e = exp(score - c)              5..7  the same
 *  7  1 / S;  o' = sum e v      8  o = o' / S                      8, 9
 *  9  y = W_o o                10  extend y, x += y               10, 11
 * 11  u_gate, u_up, s          12  t        13  g, p = t u        12..14
 * 14  h = SiLU(g) p            15  y = W_down h                    15, 16
 * 16  extend y, x += y                                            17
 * Biases are local: they join t u, or a product before it is cut. Those of the logits are a column of the
 * head that the final rms multiplies: s = sum x^2, then its root, then the logits. A row of positions joins
 * the embedding's. One round more when the plan extends e (ring_sv), or with a wave. Every round is one
 * message each way for all heads and rows. Source: PROTOCOL section 6; specification, layer.py and
 * dealtlayer.py. */
#ifndef CACHET_ENGINE_DECODER_H
#define CACHET_ENGINE_DECODER_H

#include "engine/gates.h"
#include "engine/weights.h"
#include "kvcache/cache.h"
#include "kvcache/policy.h"
#include "mpc/lift.h"
#include "mpc/strands.h"

/* Classes of operations that declared costs are split by. A round belongs to the class of what it is waited for. */
enum eng_class {
    ENG_CLASS_LINEAR,     /* matrices, scores q . k, weighted sums of V, residual */
    ENG_CLASS_SOFTMAX,    /* exponentials, maxima, division */
    ENG_CLASS_ACTIVATION, /* SiLU, GELU, with the product that follows */
    ENG_CLASS_NORM,       /* sums of squares, 1 / rms and what is multiplied by it */
    ENG_CLASS_SELECTION,  /* all that a cache policy does */
    ENG_CLASS_HEAD,       /* embedding, logits, the choice of a token inside */
    ENG_CLASSES
};
const char *eng_class_name(enum eng_class class);

/* What a decoder is made of; all of it is borrowed. In the count role the weights hold extents and types, no
 * data. */
struct eng_decoder_form {
    const struct eng_model_shape *shape;
    const struct eng_plan *plan;
    const struct eng_weights *weights;
    const struct eng_gates *gates;
    const struct kv_policy *policy;
    struct kv_config config;
    size_t context; /* prompt plus answer of the longest request */
    size_t chunk;   /* rows of one step at most; 0: chosen so that a chunk's scores fit the work area */
    size_t followers; /* the twin: decoders that follow this one at most (eng_decoder_follow) */
    const struct mpc_maker *maker; /* the count role of two parties without P0: what they would make; else NULL */
    size_t prompt;  /* rows of the prompt, where the policy's sizes are to be those of one request (costs); 0: of any */
};
struct eng_decoder {
    struct eng_decoder_form form; /* chunk is never 0 */
    struct kv_plan kv;       /* of the largest request */
    struct kv_plan request;  /* of the one under way */
    struct kv_cache *cache;  /* [layers] */
    uint64_t *turn;         /* [head_dim / 2]: RoPE frequencies, 2^-64 turns per position */
    size_t position;        /* rows so far */
    bool begun;
    struct mpc_cost account[ENG_CLASSES]; /* declared since init */
    /* The twin: decoders that take over what this one computes while it reads a prompt (eng_decoder_follow). Borrowed. */
    struct eng_decoder **followers;
    size_t follower_count;
};

/* What a step gives: un-normalised logits [rows][vocab] with ENG_LOGIT_FRACTION fraction bits, and the final
 * sums of squares [rows]. */
int eng_logit_bound(const struct eng_plan *plan);
int eng_logit_ring(const struct eng_model_shape *shape, const struct eng_plan *plan);
struct eng_logits {
    size_t rows;
    struct mpc_wire logits;
    struct mpc_wire squares;
};

BASE_MUST_USE enum base_status eng_decoder_init(struct eng_decoder *ret, enum mpc_role role,
                                                struct eng_decoder_form form, struct base_error *error);
void eng_decoder_finish(struct eng_decoder *decoder);
/* Forgets the context; the next step starts at position 0. */
void eng_decoder_reset(struct eng_decoder *decoder);
/* After a reset: the sizes of a request, before its first step. Errors: BASE_ERR_ARGUMENT where the policy does not allow them. */
BASE_MUST_USE enum base_status eng_decoder_begin(struct eng_decoder *decoder, struct mpc_party *p, size_t prompt, size_t new_tokens,
                                                 struct base_error *error);
/* After eng_decoder_begin: `rows` first rows of the prompt come from nowhere. Their K and V are small public numbers, the same in every
 * role, with masks of zero: what follows costs what it costs after real ones, whatever it computes. For benchmarks. Evictions that are due
 * meanwhile run. */
BASE_MUST_USE enum base_status eng_decoder_make_up(struct eng_decoder *decoder, struct mpc_party *p, size_t rows);
/* The twin only, after eng_decoder_begin of both: while `decoder` reads the prompt, `followers` fill their caches with its K and V and their
 * scores with its attention, and evict after the last row: the state in which they would be had they read the prompt themselves, as
 * long as their prompt rows attend to everything. So one prompt is read once for many policies. Errors: BASE_ERR_ARGUMENT for a policy
 * that reads its prompt otherwise. */
BASE_MUST_USE enum base_status eng_decoder_follow(struct eng_decoder *decoder, struct eng_decoder **followers, size_t count,
                                                  struct base_error *error);
/* Decode steps after which the cost of a step repeats: those that use one selected set, or between two evictions. Errors: the policy's. */
BASE_MUST_USE enum base_status eng_decoder_period(const struct eng_decoder_form *form, size_t prompt, size_t *ret, struct base_error *error);
/* What eng_decoder_begin would say, without a decoder: for clients. */
BASE_MUST_USE enum base_status eng_decoder_allows(const struct eng_decoder_form *form, size_t prompt, size_t new_tokens,
                                                  struct base_error *error);
/* Work area in bytes that a step of this decoder needs at most. */
size_t eng_decoder_work_size(const struct eng_decoder *decoder);
/* Rows of one prefill step of a decoder of this form. Errors: those of its policy. */
BASE_MUST_USE enum base_status eng_decoder_chunk(const struct eng_decoder_form *form, size_t *ret, struct base_error *error);
/* Rows of one prefill step that attends to `context` rows at most, when nobody chooses. */
size_t eng_decoder_choose_chunk(const struct eng_model_shape *shape, size_t context);

/* Runs n rows (masked one-hot, [n][vocab] in Z_2^32) through the model and appends them to the cache.
 * logit_rows: 0, 1 (the last row) or n. A layer's wires are released when it is done; the results stay until
 * the caller releases the work area. Cost: 3 rounds more than its layers with logits (5 where these have
 * biases), 2 without; bytes are declared by the operations. */
BASE_MUST_USE enum base_status eng_decoder_step(struct eng_decoder *decoder, struct mpc_party *p,
                                                struct mpc_wire hot, size_t n, size_t logit_rows,
                                                struct eng_logits *ret);

/* Decoders of one form, one for each request, that take a token each in the same step. */
struct eng_lanes {
    struct eng_decoder *const *lane;
    size_t count;
    struct mpc_strands *strands; /* room for `count`, with eng_decoder_lane_size of work area each */
};
/* Work area of a lane. */
size_t eng_decoder_lane_size(const struct eng_decoder *decoder);
/* One row more for each lane, hot [lanes][vocab]; logits of all, [lanes][vocab]. What is linear or goes by rows is computed for all of them
 * at once, attention and cache policies in strands (mpc/strands.h). Cost: the rounds of the lane with most; bytes are declared. The accounts are
 * those of the first lane. Not for the twin's followers. */
BASE_MUST_USE enum base_status eng_decoder_step_lanes(const struct eng_lanes *lanes, struct mpc_party *p, struct mpc_wire hot,
                                                      struct eng_logits *ret);

#endif
