/* Values of real prompts that leave the range of a plan: what the float model says of each guard of each
 * step, and what the guards say on three roles and in the twin.
 *
 * A planted layer is the last one that runs, so that nothing is judged that a spoiled value has spoiled. Each
 * guard is judged alone: by the change of the guard words of P1 and P2 while it reads. */
#ifndef CACHET_TESTS_ENGINE_PLANT_SUPPORT_H
#define CACHET_TESTS_ENGINE_PLANT_SUPPORT_H

#include "tests/engine/decoder/model_support.h"

enum {
    PLANT_STEPS = 4,
    PLANT_ROWS = 12,
    PLANT_TOKENS = 17,
    PLANT_LAYERS = 6,
    PLANT_HEADS = 6,
    PLANT_CONTEXT = 64
};
/* A prompt of two chunks, and decode steps. */
static const size_t plant_rows[PLANT_STEPS] = {PLANT_ROWS, 3, 1, 1};

/* The two guards of a layer. */
enum plant_guard { PLANT_SCORE, PLANT_G, PLANT_GUARDS };

struct plant_values {
    double *x;
    size_t count;
};

/* Every value of a request that a guard reads, from the float model: scores in nats, above zero and above the
 * row's own one; and g. */
struct plant_reach {
    struct plant_values score[PLANT_STEPS][PLANT_LAYERS][PLANT_HEADS][2];
    struct plant_values g[PLANT_STEPS][PLANT_LAYERS];
    const struct eng_model_shape *shape;
    size_t step;
};
void plant_reach_of(struct plant_reach *ret, const struct eng_weight_source *source, const int32_t *tokens);
void plant_reach_finish(struct plant_reach *reach);
/* The largest (sign 1) or smallest (sign -1) of some values. */
double plant_most(const struct plant_values *values, int sign);
/* The same of a head's scores in all steps. */
double plant_most_score(const struct plant_reach *reach, size_t layer, size_t head, int reference, int sign);

/* What a guard says of a value: nothing between the good ends, always something beyond the bad ones, as far
 * as it reaches; in between as the masks fall. */
struct plant_range {
    double bad[2], good[2], reach[2]; /* lower and upper ends */
};
struct plant_range plant_score_range(const struct eng_plan *plan, size_t layer, size_t head);
struct plant_range plant_g_range(const struct eng_plan *plan, size_t layer);
/* Which of plant_reach's scores that range is about: 0 above zero, 1 above the own one. */
int plant_reference(const struct eng_plan *plan, size_t layer, size_t head);

enum plant_answer { PLANT_QUIET, PLANT_EITHER, PLANT_VOID };

/* One request with a plan that differs from the model's. */
struct plant {
    const struct model *model;
    const struct plant_reach *reach;
    struct eng_plan plan;          /* ends with the planted layer */
    const struct eng_gates *gates; /* the model's or the plant's own */
    struct eng_gates own;
    const int32_t *tokens;
    uint64_t seed;
    /* By role: how its guard word changed. Shares of P1 and P2; a number of readings at the twin. */
    uint64_t word[MPC_COUNT][PLANT_STEPS][PLANT_LAYERS][PLANT_GUARDS];
    uint64_t sum[MPC_COUNT][PLANT_STEPS][PLANT_LAYERS]; /* the same of S, that 1/S watches itself */
    size_t void_sums;                                   /* judged ones that were void */
};

/* A copy of the model's plan, to be changed; layers after `last` do not run. */
void plant_init(struct plant *ret, const struct model *model, const struct plant_reach *reach,
                const int32_t *tokens, size_t last);
/* The changed plan is one that parties accept; its gates are made anew. */
void plant_make_gates(struct plant *plant);
void plant_run(struct plant *plant, struct trio *ret);
void plant_finish(struct plant *plant);

/* Checks every guard of every step, but for g behind scores that left, against the float model, on shares and
 * in the twin. Returns how many answers of `guard` in the last layer must be void; *ret_quiet: must not be.
 */
size_t plant_judge(struct plant *plant, enum plant_guard guard, size_t *ret_quiet);

#endif
