#include "parties/eval/score.h"

#include <math.h>

void eval_score_add(struct eval_score *a, const struct eval_score *b)
{
    a->prompts += b->prompts;
    a->voids += b->voids;
    a->hits += b->hits;
    a->steps += b->steps;
    a->agreed += b->agreed;
    a->nats += b->nats;
    a->divergence += b->divergence;
}

struct eval_share eval_share_of(size_t hits, size_t trials)
{
    const double z = 1.959963984540054;
    if (trials == 0)
        return (struct eval_share){0, 0, 100};
    double n = (double)trials, p = (double)hits / n, scale = 1 / (1 + z * z / n),
           middle = scale * (p + z * z / (2 * n)),
           reach = scale * z * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return (struct eval_share){100 * p, hits == 0 ? 0 : 100 * (middle - reach),
                               hits == trials ? 100 : 100 * (middle + reach)};
}

struct eval_share eval_score_quality(const struct eval_score *score, bool running)
{
    return running ? eval_share_of(score->agreed, score->steps) : eval_share_of(score->hits, score->prompts);
}

static double mean(double sum, size_t steps)
{
    return steps == 0 ? 0 : sum / (double)steps;
}

double eval_score_perplexity(const struct eval_score *score)
{
    return exp(mean(score->nats, score->steps));
}

double eval_score_divergence(const struct eval_score *score)
{
    return mean(score->divergence, score->steps);
}
