/* Runs prompts under many policies at once, on the plaintext twin: a prompt is read once, by the full cache,
 * for all policies that read it densely (eng_decoder_follow); the others read it themselves. One prompt at a
 * time per thread. */
#ifndef CACHET_PARTIES_EVAL_HARNESS_H
#define CACHET_PARTIES_EVAL_HARNESS_H

#include "engine/decoder.h"
#include "parties/eval/score.h"
#include "parties/eval/task.h"

/* One policy under one budget. */
struct eval_cell {
    const struct kv_policy *policy;
    struct kv_config config;
};

struct eval_form {
    struct eng_decoder_form decoder; /* in the clear form; policy, config and context are the cells' */
    const struct eng_tokenizer *tokenizer;
    const struct eval_text *text;
    const struct eval_cell *cells;
    size_t cell_count;
    size_t prompts, threads;
    size_t scored; /* running text: decode steps that are scored per prompt */
    uint64_t seed;
};

/* ret_scores [cells]. Tasks with a fact: answers are decoded greedily, depths 0, 1/4, .. 1 in turn. Running
 * text: the true tokens are fed one by one, and every step's logits are compared with the true next token and
 * with what the full cache gives at that step. The scores are equal for any number of threads. Errors: those
 * of the policies and of the twin; a value outside its range is none, but a void prompt. */
BASE_MUST_USE enum base_status eval_run(const struct eval_form *form, const struct eval_task *task,
                                        size_t length, struct eval_score *ret_scores,
                                        struct base_error *error);

#endif
