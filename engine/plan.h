/* The numeric plan: ring, fraction bits and bound of every wire of a model, and the ranges of its gates.
 *
 * It is made in the clear by the model owner from calibration text (engine/calibrate.h), publishes integers
 * and powers of two only, and travels with the shares as plan.json. Every condition of the layer graph is
 * checked by name: a plan that does not fit is refused, nothing wraps silently. Source: PROTOCOL section 2;
 * specification, plan.py. */
#ifndef CACHET_ENGINE_PLAN_H
#define CACHET_ENGINE_PLAN_H

#include "kvcache/profile.h"

#include <stdbool.h>
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

/* Fraction bits that no plan chooses: of the norms' tables (eng_plan_norm_fraction may take fewer), of the
 * un-normalised logits, and bits that the final sum of squares loses. */
enum { ENG_NORM_FRACTION = 44, ENG_LOGIT_FRACTION = 14, ENG_SQUARES_CUT = 16 };

/* And those of a layer with ceilings: fraction bits of scores before they count units of 2^-s of their range,
 * and relative bits of e. */
enum {
    ENG_CEILING_UNITS = 16,
    ENG_CEILING_SCORE = 10,
    ENG_CEILING_MANTISSA = 14,
    ENG_CEILING_MOST_HEADROOM = 40,
    ENG_CEILING_LEAST_INVERSE = 13, /* fraction bits of 1 / S */
};

/* How a layer reads its activation: by segments, or as a wave of a small or large span (protocols/wave.h). */
enum eng_wave { ENG_WAVE_NONE, ENG_WAVE_NARROW, ENG_WAVE_WIDE, ENG_WAVES };

/* What a layer's attention measures its scores from: a maximum of each row that is found on shares
 * (protocols/coarse_max.h), or a public ceiling of each head (protocols/exp_two.h). */
enum eng_attention { ENG_ATTENTION_MAXIMUM, ENG_ATTENTION_CEILINGS, ENG_ATTENTIONS };

/* Cells of the guards (protocols/guard.h) whose number no plan chooses; log2. */
enum { ENG_GUARD_LOG_CELLS = 5 };

/* Heads of one range share their gates; a layer has two ranges at most, so that one wide head does not make
 * all of them pay. */
enum { ENG_RANGES = 2, ENG_MOST_RANGE = 440 };
struct eng_range_plan {
    int bits;      /* t: scores lie within t bits below the ceiling; 0: unused */
    int log_cells; /* 2^log_cells cells of the guard over 2 t bits */
};
/* One head of a layer with ceilings. Where neither zero nor the row's own score leaves a headroom that holds,
 * the row's maximum is found on shares: two rounds more for the layer, and a histogram for these heads alone.
 */
enum eng_from { ENG_FROM_ZERO, ENG_FROM_OWN, ENG_FROM_MAXIMUM, ENG_FROMS };
struct eng_head_plan {
    int ceiling; /* in 1 / ENG_CEILING_UNITS nats: of scores, or of scores less the row's own one */
    int from;    /* enum eng_from: what a row's weights are measured from */
    int range;   /* which of the layer's ranges; heads that find a maximum have one range */
};

struct eng_layer_plan {
    int bits[ENG_WIRES];
    int rho[ENG_NORMS]; /* log2 of the typical rms that is folded into the next weights */
    int low[ENG_NORMS]; /* log2 of the smallest and largest mean square, with margin */
    int high[ENG_NORMS];
    int ft[ENG_NORMS]; /* fraction bits of t = rho / rms, and its integer bits */
    int bt[ENG_NORMS];
    int fs[ENG_NORMS]; /* fraction bits of sum x^2 as the norm reads it */
    int wave;          /* enum eng_wave */
    int attention;     /* enum eng_attention; the rest is for ceilings */
    int headroom;      /* G: a row's largest e is 2^-G at least */
    int sum;           /* a row's e sum to less than 2^sum, which 1 / S watches */
    struct eng_range_plan range[ENG_RANGES];
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
    bool pair; /* two parties without P0; eng_plan_set_pair */
    int fold; /* 1: the norm is folded into q, k, v when decoding too (17 rounds, fewer bytes per cached row)
               */
    int context; /* longest prompt plus answer */
    int lm_bits; /* integer bits of the logits, un-normalised */
    int final_low; /* where logits have biases, which the final rms multiplies: log2 of the smallest and largest */
    int final_high; /* mean square after the last layer, with margin; else 0 */
    int heads;
    size_t layers;
    struct eng_layer_plan *layer;
    struct eng_head_plan *head; /* [layers][heads] */
    struct kv_profile profile;  /* of heads and layers, for cache policies; optional */
    char model[65];             /* hex digest of the model it was made for */
};

/* A plan with the general gates' default widths and room for `layers` of `heads` each. */
BASE_MUST_USE enum base_status eng_plan_init(struct eng_plan *ret, size_t layers, size_t heads,
                                             size_t context, struct base_error *error);
/* The thin widths: bins of 4 nats and cells of 8, e extended to `ring_sv` bits: fewer dealt bytes, one round
 * more per layer. */
void eng_plan_set_thin(struct eng_plan *plan);
/* ft, bt and fs of a layer's norms from rho, low and high. */
void eng_plan_derive_norms(struct eng_plan *plan, size_t layer, size_t width, double norm_eps);
/* Bounds of a mid-size model with scores within 2^score_bits nats, for costs of shapes that nobody
 * calibrates. */
void eng_plan_set_typical(struct eng_plan *plan, size_t width, double norm_eps, int score_bits);
/* The cheap gates on every layer of a plan whose bounds stand: scores measured from zero, within `range` bits
 * below the ceilings, headroom of `headroom` bits, and the wide wave. Good for inputs whose row maxima lie
 * above -5.5 nats: those of synthetic weights, which thus cost what a real model of their shape does. */
void eng_plan_set_cheap(struct eng_plan *plan, int range, int headroom);
/* The mode of two parties without P0 (mpc/maker.h) of a plan that was calibrated for general gates: these alone, folded norms, bins and cells of one nat.
 * Not in plan.json: the mode is the deployment's. */
void eng_plan_set_pair(struct eng_plan *plan);
/* The general gates on every layer, for comparisons of cost: bounds stay those of the plan. */
void eng_plan_set_general(struct eng_plan *plan);
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
/* Ring that W h fits whose product has product_bits integer bits and whose input h input_bits. */
int eng_plan_output_ring(const struct eng_plan *plan, int product_bits, int input_bits);
/* Products of a layer's activations with weights, and the head's (layer 0). */
enum eng_product {
    ENG_PRODUCT_QK,
    ENG_PRODUCT_V,
    ENG_PRODUCT_O,
    ENG_PRODUCT_GATE, /* or W_up, where the MLP has no gate */
    ENG_PRODUCT_UP,
    ENG_PRODUCT_DOWN,
    ENG_PRODUCT_HEAD,
};
/* The ring in which a product and so its weights live: no larger than what is read of it, and where that takes a larger word in memory than the
 * product's own value and four bits more, the ring of the smaller word (kern_word). Exact in any case: a product's low bits
 * depend on its factors' low bits alone, and what a later product lacks is lifted (mpc_share_mul). */
int eng_plan_product_ring(const struct eng_plan *plan, size_t layer, enum eng_product product);
/* Fraction bits that a product of residual and weights loses. */
int eng_plan_linear_cut(const struct eng_plan *plan);
/* How the activation reads g = t u: its fraction and ring (of waves the largest one of any curve), and what t u loses on the way. */
struct eng_reading {
    int fraction, ring, cut;
};
struct eng_reading eng_plan_activation_reading(const struct eng_plan *plan, size_t layer);
/* Ring of K as attention reads it: of two parties no larger than what is read of a score. */
int eng_plan_key_ring(const struct eng_plan *plan, size_t layer);
/* Fraction bits of the table of t = rho / rms. Two parties cannot lift t: before attention its table keeps as many as let t have
 * the ring of q and k at once, where that leaves ENG_NORM_LEAST_EXTRA bits beyond those of t; else t is extended in a
 * round of its own. */
enum { ENG_NORM_LEAST_EXTRA = 11 };
int eng_plan_norm_fraction(const struct eng_plan *plan, size_t layer, int norm);
/* Ring of t u_up: segments lift it inside their payload and want it wide; after a wave a small ring costs least. Two parties extend
 * the product before segments in any case: the smallest ring that holds it. */
int eng_plan_up_ring(const struct eng_plan *plan, size_t layer);
/* Where logits have a bias: fraction bits of the final sum x^2 as its root reads it, integer bits of the root, the ring that
 * it and the logits share before they are cut, and the fraction bits of the root's table. */
int eng_plan_final_fs(const struct eng_plan *plan, size_t width);
int eng_plan_root_bits(const struct eng_plan *plan);
int eng_plan_root_ring(const struct eng_plan *plan);
int eng_plan_root_table(const struct eng_plan *plan);
int eng_plan_embedding_bound(const struct eng_plan *plan); /* |entry| <= 2^bound in units of the residual */
double eng_plan_wave_span(enum eng_wave wave);  /* largest |g| that the wave reads, for either curve */
int eng_plan_wave_log_cell(enum eng_wave wave); /* log2 of a cell of its guard */
/* |g| below this never raises the guard of a wave; at the span and beyond it always does. */
double eng_plan_wave_quiet(enum eng_wave wave);
const struct eng_head_plan *eng_plan_heads(const struct eng_plan *plan, size_t layer); /* [heads] */

/* Widths of a layer with ceilings. */
int eng_range_units(
    const struct eng_range_plan *range); /* s: the range has 2^s units, and scores s + 1 bits */
int eng_range_empty(
    const struct eng_range_plan *range); /* whole bits of the guard's empty cell below a ceiling */
int eng_range_log_bins(const struct eng_range_plan *range); /* of the histogram that finds a maximum */
int eng_range_slack(const struct eng_range_plan *range);    /* bits from such a maximum to what is found */
/* The range whose heads find a maximum; -1: none do. */
int eng_plan_maximum_range(const struct eng_plan *plan, size_t layer);
/* What W_q is multiplied by so that scores count units: log2(e) 2^s / (t 2^ENG_CEILING_SCORE), 1 without
 * ceilings. */
double eng_plan_query_scale(const struct eng_plan *plan, size_t layer, size_t head);
struct eng_ceiling_widths {
    int empty;          /* e <= 2^-empty */
    int sum;            /* S < 2^sum: the layer\'s, or what context and empty cell leave */
    int e_frac;         /* fraction bits of e, and of S */
    int e_ring;         /* of e and V */
    int sum_bits;       /* of S as the division reads it */
    int window;         /* 1 / S is read in windows above and below 2^-window */
    int sum_frac;       /* fraction bits of o' = sum e v */
    int read_frac;      /* of o' as a window reads it: sum_frac - window */
    int inverse_frac;   /* of 1 / S */
    int v_frac, v_ring; /* of V before it is extended: its 13 highest bits */
    int o_ring;
    int score;     /* bits of the widest score */
    int score_cut; /* fraction bits that q . k loses */
};
struct eng_ceiling_widths eng_plan_ceiling_widths(const struct eng_plan *plan, size_t layer);
int eng_plan_log_context(const struct eng_plan *plan);

/* Every ring and bound condition by name. Errors: BASE_ERR_RANGE naming layer, condition and both values. */
BASE_MUST_USE enum base_status eng_plan_check(const struct eng_plan *plan, struct base_error *error);

/* plan.json: duplicate, missing or foreign keys are refused by name; "profile" may be missing. */
BASE_MUST_USE enum base_status eng_plan_write(const struct eng_plan *plan, const char *path,
                                              struct base_error *error);
BASE_MUST_USE enum base_status eng_plan_read(struct eng_plan *ret, const char *path,
                                             struct base_error *error);
/* SHA-256 of the canonical form: equal plans, equal digests. */
BASE_MUST_USE enum base_status eng_plan_digest(const struct eng_plan *plan, uint8_t ret[32],
                                               struct base_error *error);

#endif
