/* What a policy scored, as counts and sums over its prompts, and the figures that are shown of them.
 *
 * A void prompt is one in which a value left its range (engine/backend.h): its answer counts as wrong, and it
 * has no scored steps. */
#ifndef CACHET_PARTIES_EVAL_SCORE_H
#define CACHET_PARTIES_EVAL_SCORE_H

#include <stdbool.h>
#include <stddef.h>

struct eval_score {
    size_t prompts, voids; /* run; of them void */
    size_t hits;           /* tasks with a fact: prompts whose whole answer is right */
    size_t steps,
        agreed; /* running text: scored steps; of them those whose likeliest token is the full cache's */
    double nats, divergence; /* sums over the steps: -ln p(true token), and KL(full || policy) in nats */
};
/* Adds the counts and sums of b. */
void eval_score_add(struct eval_score *a, const struct eval_score *b);

/* A share in percent with its 95 % interval. */
struct eval_share {
    double percent, low, high;
};
/* Wilson's score interval (JASA 22, 1927), z = 1.96: honest for few trials and near 0 and 100 %. No trials:
 * 0, 0 to 100. */
struct eval_share eval_share_of(size_t hits, size_t trials);
/* What a task asks for, in percent: answers that are right, or (running) steps that agree with the full
 * cache. Steps of one prompt are not independent: there the interval is too narrow. */
struct eval_share eval_score_quality(const struct eval_score *score, bool running);

/* Means over the scored steps; perplexity 1 and divergence 0 without any. */
double eval_score_perplexity(const struct eval_score *score);
double eval_score_divergence(const struct eval_score *score);

#endif
