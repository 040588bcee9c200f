/* The cheapest cache policy whose measured quality is high enough: what `cachet cost --recommend` answers.
 *
 * Quality comes from an evaluation (parties/eval/results.h), per task at its context nearest to the wanted
 * one (by ratio; the longer of two equally near), and counts as the worst over the tasks: percent of right
 * answers, or of next tokens that agree with the full cache. Cost is counted afresh for the wanted model and
 * context: seconds on the link of one request, the prompt and `answer` tokens, each costed as those right
 * after the prompt. Equal seconds: fewer bytes. A policy that costs more than the full cache is never picked.
 */
#ifndef CACHET_PARTIES_RECOMMEND_H
#define CACHET_PARTIES_RECOMMEND_H

#include "parties/eval/results.h"
#include "parties/time_model.h"

struct recommend_form {
    const struct eval_results *results;
    const char *path;  /* of the results, for errors */
    const char *tasks; /* with commas between them; NULL: all that the results have */
    double floor;      /* percent */
    const struct eng_model_shape *shape;
    size_t context, answer; /* tokens of the prompt, and decoded after it */
    struct time_link link;
};

enum recommend_verdict {
    RECOMMEND_PICKED,
    RECOMMEND_BEATEN, /* good enough, and not the cheapest */
    RECOMMEND_BELOW_FLOOR,
    RECOMMEND_DEARER,       /* than the full cache */
    RECOMMEND_NOT_MEASURED, /* at a task that is asked */
    RECOMMEND_REFUSED,      /* the policy does not allow this request */
};

/* One policy under one budget. */
struct recommend_choice {
    const struct kv_policy *policy;
    struct kv_config config;
    const struct eval_row *worst;                         /* the row that decides its quality, or NULL */
    struct eval_row key;                                  /* names it */
    double prompt_seconds, token_seconds, seconds, bytes; /* seconds and bytes of the whole request */
    enum recommend_verdict verdict;
};

struct recommendation {
    struct recommend_form form;
    struct recommend_choice *choices; /* [count]; the full cache first, then by cost */
    size_t count;
    size_t steps;             /* tokens after the prompt that a plan must have room for */
    size_t picked, second;    /* indices; count: nothing reaches the floor, there is no runner-up */
    size_t nearest, farthest; /* contexts at which quality was measured */
};

/* Choices and their quality. Results and path stay borrowed. Errors: BASE_ERR_ARGUMENT for a task that is
 * unknown or without rows; BASE_ERR_FORMAT when there are no rows, or none of the full cache. */
BASE_MUST_USE enum base_status recommend_init(struct recommendation *ret, const struct recommend_form *form,
                                              struct base_error *error);
void recommend_finish(struct recommendation *r);
/* Counts every choice and picks; plan.context >= context + steps. progress may be NULL. */
BASE_MUST_USE enum base_status recommend_count(struct recommendation *r, const struct eng_plan *plan,
                                               struct base_progress *progress, struct base_error *error);

const char *recommend_verdict_name(enum recommend_verdict verdict);
/* On standard output. model: SHA-256 of the model that was counted, or NULL for a public shape. */
void recommend_print(const struct recommendation *r, const char *model, bool json);

#endif
