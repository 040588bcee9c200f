/* The results of an evaluation, and the one place that knows their file: `cachet eval --out` writes and
 * continues it, `cachet cost --recommend` reads it.
 *
 * JSON: {"model", "plan", "text": SHA-256 in hex, "seed", "scored", "rows": [{"task", "context", "policy",
 * "budget_percent" (null: the policy takes none), "prompts", "void", "bytes_per_token", "rounds_per_token",
 * and "hits", "right", "right_low", "right_high" (percent) of a task with a fact, or "steps", "agreed",
 * "nats_per_token", "perplexity", "agreement", "agreement_low", "agreement_high" (percent), "kl_nats" of
 * running text}]}. */
#ifndef CACHET_PARTIES_EVAL_RESULTS_H
#define CACHET_PARTIES_EVAL_RESULTS_H

#include "kvcache/policy.h"
#include "parties/eval/score.h"
#include "parties/eval/task.h"

#include <jansson.h>

/* One policy under one budget, at one task and context. */
struct eval_row {
    const struct eval_task *task;
    size_t context;
    char policy[KV_CONFIG_TEXT]; /* without its budget */
    uint32_t budget;             /* percent; 0: the policy takes none, or is told its rows */
    struct eval_score score;
    double bytes, rounds; /* of a token, all parties, online and dealt */
};

struct eval_results {
    char model[65], plan[65], text[65]; /* SHA-256 in hex: what was evaluated, and on what */
    uint64_t seed, scored;
    struct eval_row *rows; /* [count] */
    size_t count, room;
};
enum { EVAL_MOST_ROWS = 8192 };
void eval_results_finish(struct eval_results *results);

/* A cell's row at a task and context: its key. */
struct eval_row eval_row_at(const struct eval_row *cell, const struct eval_task *task, size_t context);
/* The same cell at the same task and context; NULL: there is none. */
struct eval_row *eval_results_find(const struct eval_results *results, const struct eval_row *row);
/* At the end. Errors: BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status eval_results_add(struct eval_results *results, const struct eval_row *row,
                                                struct base_error *error);
/* Percent that the row's task asks for (eval_score_quality). */
struct eval_share eval_row_quality(const struct eval_row *row);
/* That b can be added to a: same model, plan, text, seed and scored steps. Errors: BASE_ERR_MISMATCH naming
 * the first that differs, both values, and `path`. */
BASE_MUST_USE enum base_status eval_results_match(const struct eval_results *a, const struct eval_results *b,
                                                  const char *path, struct base_error *error);

/* A new reference; NULL: no memory. */
json_t *eval_results_to_json(const struct eval_results *results);
/* Whole or not at all. Errors: BASE_ERR_IO naming the path. */
BASE_MUST_USE enum base_status eval_results_write(const struct eval_results *results, const char *path,
                                                  struct base_error *error);
/* Figures that follow from counts are not read. Errors: BASE_ERR_IO; BASE_ERR_FORMAT naming path, row, key,
 * value and what is allowed; a row that is there twice. */
BASE_MUST_USE enum base_status eval_results_read(struct eval_results *ret, const char *path,
                                                 struct base_error *error);

#endif
