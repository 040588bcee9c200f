/* The numeric plan: ring, fraction bits and bound of every wire of a model, and the ranges of its gates.
 *
 * It is made in the clear by the model owner from calibration text (engine/calibrate.h), publishes integers
 * and powers of two only, and travels with the shares as plan.json. Every condition of the layer graph is
 * checked by name: a plan that does not fit is refused, nothing wraps silently. Source: PROTOCOL section 2;
 * specification, plan.py. */
#ifndef CACHET_ENGINE_PLAN_H
#define CACHET_ENGINE_PLAN_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Wires of a layer whose bounds are calibrated: integer bits (log2 of the largest magnitude, with margin). */
enum eng_wire {
    ENG_Q,
    ENG_K,
    ENG_V,
    ENG_O,
    ENG_YO,
    ENG_G,
    ENG_P,
    ENG_H,
    ENG_YD,
    ENG_X,
    ENG_SCORE,
    ENG_UQ,
    ENG_UK,
    ENG_UV,
    ENG_A,
    ENG_AOWN,
    ENG_UG,
    ENG_UP,
    ENG_WIRES,
};
const char *eng_wire_name(enum eng_wire wire);

/* The norm before attention (0) and before the MLP (1). */
enum { ENG_NORM_ATTENTION, ENG_NORM_MLP, ENG_NORMS };

/* Fraction bits that no plan chooses: of the norms' results, of the un-normalised logits, and bits that the
 * final sum of squares loses. */
enum { ENG_NORM_FRACTION = 44, ENG_LOGIT_FRACTION = 14, ENG_SQUARES_CUT = 16 };

/* How a layer reads its activation: by segments, or as a wave of a small or large span (protocols/wave.h). */
enum eng_wave { ENG_WAVE_NONE, ENG_WAVE_NARROW, ENG_WAVE_WIDE, ENG_WAVES };

struct eng_layer_plan {
    int bits[ENG_WIRES];
    int rho[ENG_NORMS]; /* log2 of the typical rms that is folded into the next weights */
    int low[ENG_NORMS]; /* log2 of the smallest and largest mean square, with margin */
    int high[ENG_NORMS];
    int ft[ENG_NORMS]; /* fraction bits of t = rho / rms, and its integer bits */
    int bt[ENG_NORMS];
    int fs[ENG_NORMS]; /* fraction bits of sum x^2 as the norm reads it */
    int wave;          /* enum eng_wave */
};

struct eng_plan {
    int fx;         /* residual */
    int fw;         /* weights that read the residual */
    int fwo;        /* W_o and W_down */
    int fc;         /* cos, sin */
    int fu;         /* linear outputs */
    int fs;         /* scores */
    int bin;        /* log2 nats of a histogram bin */
    int cell;       /* log2 nats of an exp cell */
    int fb, fe, fo; /* exp: relative bits of the payload, fraction bits of the table and of the result */
    int ring_sv;    /* ring of sum e v when e is extended; 0: no extension */
    int fo2;        /* weighted sum before the division */
    int fy;         /* 1 / S */
    int per_octave;
    int f_reciprocal;
    int fg, kg, hs, f_silu; /* gate input: fraction, ring; log2 segments; fraction bits of SiLU */
    int kn;                 /* bits of the norm's input */
    int ring;               /* residual and weights */
    int fold; /* 1: the norm is folded into q, k, v when decoding too (17 rounds, fewer bytes per cached row)
               */
    int context; /* longest prompt plus answer */
    int lm_bits; /* integer bits of the logits, un-normalised */
    size_t layers;
    struct eng_layer_plan *layer;
    char model[65]; /* hex digest of the model it was made for */
};

/* A plan with the general gates' default widths and room for `layers`. */
BASE_MUST_USE enum base_status eng_plan_init(struct eng_plan *ret, size_t layers, size_t context,
                                             struct base_error *error);
/* The thin widths: bins of 4 nats and cells of 8, e extended to `ring_sv` bits: fewer dealt bytes, one round
 * more per layer. */
void eng_plan_set_thin(struct eng_plan *plan);
/* ft, bt and fs of a layer's norms from rho, low and high. */
void eng_plan_derive_norms(struct eng_plan *plan, size_t layer, size_t width, double norm_eps);
/* Bounds of a mid-size model with scores within 2^score_bits nats, for costs of shapes that nobody
 * calibrates. */
void eng_plan_set_typical(struct eng_plan *plan, size_t width, double norm_eps, int score_bits);
void eng_plan_finish(struct eng_plan *plan);
/* A deep copy. */
BASE_MUST_USE enum base_status eng_plan_copy(struct eng_plan *ret, const struct eng_plan *plan,
                                             struct base_error *error);

/* Derived widths. */
int eng_plan_ft2(const struct eng_plan *plan, size_t layer); /* fraction bits of t^2 */
int eng_plan_score_bits(const struct eng_plan *plan,
                        size_t layer); /* scores lie in +-2^bits nats, less one bin */
int eng_plan_histogram_ring(const struct eng_plan *plan, size_t layer);
int eng_plan_score_ring(const struct eng_plan *plan, size_t layer);
int eng_plan_embedding_bound(const struct eng_plan *plan); /* |entry| <= 2^bound in units of the residual */
double eng_plan_wave_span(enum eng_wave wave); /* largest |g| that the wave reads, for either curve */
int eng_plan_log_context(const struct eng_plan *plan);

/* Every ring and bound condition by name. Errors: BASE_ERR_RANGE naming layer, condition and both values. */
BASE_MUST_USE enum base_status eng_plan_check(const struct eng_plan *plan, struct base_error *error);

/* plan.json: duplicate, missing or foreign keys are refused by name. */
BASE_MUST_USE enum base_status eng_plan_write(const struct eng_plan *plan, const char *path,
                                              struct base_error *error);
BASE_MUST_USE enum base_status eng_plan_read(struct eng_plan *ret, const char *path,
                                             struct base_error *error);
/* SHA-256 of the canonical form: equal plans, equal digests. */
BASE_MUST_USE enum base_status eng_plan_digest(const struct eng_plan *plan, uint8_t ret[32],
                                               struct base_error *error);

#endif
