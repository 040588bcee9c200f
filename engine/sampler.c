#include "engine/sampler.h"

#include "base/memory.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>

struct eng_candidate {
    double weight; /* logit */
    int32_t id;
};

enum base_status eng_sampler_init(struct eng_sampler *ret, struct eng_sampling sampling, size_t vocab,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_sampler sampler = {.sampling = sampling, .vocab = vocab, .state = sampling.seed};
    TRY_THAT(sampling.temperature >= 0 && sampling.temperature <= 100, error, BASE_ERR_ARGUMENT,
             "temperature is %g: must be 0 to 100", sampling.temperature);
    TRY_THAT(sampling.top_p >= 0 && sampling.top_p <= 1, error, BASE_ERR_ARGUMENT,
             "top-p is %g: must be 0 to 1", sampling.top_p);
    TRY(base_alloc(&sampler.candidate, vocab, sizeof *sampler.candidate, error));
    TRY(base_alloc(&sampler.noise, vocab, sizeof *sampler.noise, error));
    *ret = sampler;
    return BASE_OK;
out:
    eng_sampler_finish(&sampler);
    return status;
}

void eng_sampler_finish(struct eng_sampler *sampler)
{
    base_free_secret(&sampler->candidate);
    base_free_secret(&sampler->noise);
}

static int larger_first(const void *a, const void *b)
{
    const struct eng_candidate *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int32_t largest(const double *logits, size_t vocab)
{
    size_t best = 0;
    for (size_t i = 1; i < vocab; i++)
        best = logits[i] > logits[best] ? i : best;
    return (int32_t)best;
}

/* How many of the sorted candidates stay. */
static size_t cut(const struct eng_sampler *s)
{
    size_t kept = s->sampling.top_k > 0 && s->sampling.top_k < s->vocab ? s->sampling.top_k : s->vocab;
    double sum = 0, part = 0, top = s->candidate[0].weight;
    if (s->sampling.top_p <= 0 || s->sampling.top_p >= 1)
        return kept;
    for (size_t i = 0; i < kept; i++)
        sum += exp((s->candidate[i].weight - top) / s->sampling.temperature);
    for (size_t i = 0; i < kept; i++) {
        part += exp((s->candidate[i].weight - top) / s->sampling.temperature);
        if (part >= s->sampling.top_p * sum)
            return i + 1;
    }
    return kept;
}

/* The largest sum of logit / temperature and noise of Gumbel's distribution is a draw from the softmax. Each id has its own noise: the last
 * units of logits differ from run to run, and that changes what a seed gives only where two sums are nearly equal. */
int32_t eng_sampler_pick(struct eng_sampler *s, const double *logits)
{
    if (s->sampling.temperature == 0)
        return largest(logits, s->vocab);
    for (size_t i = 0; i < s->vocab; i++)
        s->candidate[i] = (struct eng_candidate){logits[i], (int32_t)i};
    qsort(s->candidate, s->vocab, sizeof *s->candidate, larger_first);
    size_t kept = cut(s);
    for (size_t i = 0; i < s->vocab; i++)
        s->noise[i] = -log(-log(base_random_fraction(&s->state)));
    int32_t best = s->candidate[0].id;
    double most = -INFINITY;
    for (size_t i = 0; i < kept; i++) {
        const struct eng_candidate *c = &s->candidate[i];
        double sum = c->weight / s->sampling.temperature + s->noise[c->id];
        if (sum > most) {
            most = sum;
            best = c->id;
        }
    }
    return best;
}
