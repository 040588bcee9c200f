/* The profile of a model's heads and layers (kvcache/profile.h), measured beside the ranges of the numeric
 * plan; private to engine/calibrate.c.
 *
 * On the calibration text, for every fourth row further on than sinks and window: what is added to the
 * residual changes by so much, relative to the residual, when the query heads of one KV head see these alone
 * (4 sinks; a window of an eighth of the longest text, 16 to 128 rows); as a root mean square. DuoAttention
 * learns a gate per head instead, from what reaches the end of the model; this asks each head by itself. And
 * of the last 32 rows of each text the attention per column, averaged over heads, largest first: the curves
 * of PrefixKV, which are averaged over texts. On random tokens that are repeated four times (512
 * tokens at most, RazorAttention's probe): the part of a head's attention that goes to earlier occurrences of
 * its token, and to the tokens that followed them. Cost: about a tenth of the calibration. */
#ifndef CACHET_ENGINE_CALIBRATE_PROFILE_H
#define CACHET_ENGINE_CALIBRATE_PROFILE_H

#include "engine/reference.h"

/* A text shorter than this gives no profile. */
enum { ENG_PROFILE_LEAST_TOKENS = 16 };

struct eng_profile_probe {
    const struct eng_model_shape *shape;
    const struct eng_reference *reference;
    size_t longest, length; /* tokens of the longest text, and of the one under way; 0: none */
    size_t window, period;  /* period: of the random tokens */
    float *streamed;        /* [ENG_REFERENCE_ROWS][heads][head_dim]: outputs by sinks and window */
    float *added;           /* [width]: what a change of outputs adds to the residual */
    double *change;         /* its squares, relative to the residual's, [layers][kv_heads] */
    double residual[ENG_REFERENCE_ROWS]; /* squares of the rows before a layer */
    size_t compared;                     /* rows so far */
    double *echo, *induction;            /* attention of repeated tokens, summed over rows, [layers][heads] */
    double *column;    /* attention of the last rows of the text under way, [layers][longest] */
    double *curve;     /* sums over texts, [layers][KV_CURVE_POINTS] */
    size_t texts, row; /* texts so far; row of the last scores */
};

/* The reference is borrowed; its values are read. */
BASE_MUST_USE enum base_status eng_profile_probe_init(struct eng_profile_probe *ret,
                                                      const struct eng_model_shape *shape,
                                                      const struct eng_reference *reference, size_t longest,
                                                      struct base_error *error);
void eng_profile_probe_finish(struct eng_profile_probe *probe);
/* A text of `length` tokens begins; eng_profile_see gets what the reference shows of it; it ends. */
void eng_profile_begin(struct eng_profile_probe *probe, size_t length);
void eng_profile_see(struct eng_profile_probe *probe, int wire, size_t layer, size_t head,
                     const float *values, size_t count);
void eng_profile_end(struct eng_profile_probe *probe);
/* The repeated random tokens, through the same reference, whose probe this replaces. */
BASE_MUST_USE enum base_status eng_profile_repeat(struct eng_profile_probe *probe,
                                                  struct eng_reference *reference, struct base_error *error);
BASE_MUST_USE enum base_status eng_profile_make(const struct eng_profile_probe *probe, struct kv_profile *ret,
                                                struct base_error *error);

#endif
