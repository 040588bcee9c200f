#include "engine/generate.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/realmath.h"
#include "engine/decoder.h"

#include <math.h>

void eng_normalise_logits(const struct eng_model_shape *shape, const struct eng_plan *plan,
                          const struct eng_answer *answer, size_t rows, double *ret)
{
    double unit = base_power_of_two(ENG_SQUARES_CUT - 2 * plan->fx) / (double)shape->width;
    for (size_t r = 0; r < rows; r++) {
        double mean = fmax((double)answer->squares[r] * unit, 0) + shape->norm_eps,
               scale = base_power_of_two(-ENG_LOGIT_FRACTION) / sqrt(mean);
        for (size_t v = 0; v < shape->vocab; v++)
            ret[r * shape->vocab + v] = (double)answer->logits[r * shape->vocab + v] * scale;
    }
}

enum base_status eng_fail_void(struct base_error *error)
{
    return base_fail(
        error, BASE_ERR_RANGE,
        "a value of this request left the range that the numeric plan allows for, so the answer is void from "
        "this step on: make the plan again with more or other calibration text (`cachet plan --text`), share "
        "the weights again and restart the parties");
}

struct run {
    const struct eng_generation *g;
    struct eng_answer answer;
    int64_t square;
    double *logits;
};

static enum base_status open_run(struct run *run, const struct eng_generation *g,
                                 struct eng_generated *result, struct base_error *error)
{
    enum base_status status = BASE_OK;
    *run = (struct run){.g = g};
    run->answer.squares = &run->square;
    TRY(base_alloc(&run->answer.logits, g->shape->vocab, sizeof *run->answer.logits, error));
    TRY(base_alloc(&run->logits, g->shape->vocab, sizeof *run->logits, error));
    TRY(base_alloc(&result->tokens, g->new_tokens, sizeof *result->tokens, error));
    TRY(base_alloc(&result->step_seconds, g->new_tokens, sizeof *result->step_seconds, error));
out:
    return status;
}

static int32_t choose(struct run *run)
{
    if (run->g->backend->mode == ENG_REQUEST_ARGMAX)
        return run->answer.token;
    eng_normalise_logits(run->g->shape, run->g->plan, &run->answer, 1, run->logits);
    return eng_sampler_pick(run->g->sampler, run->logits);
}

static enum base_status feed_prompt(struct run *run, struct base_error *error)
{
    const struct eng_generation *g = run->g;
    enum base_status status = BASE_OK;
    for (size_t at = g->made_up; at < g->prompt_tokens;) {
        size_t left = g->prompt_tokens - at, n = left < g->backend->chunk ? left : g->backend->chunk;
        TRY(g->backend->step(g->backend->context, g->prompt + at, n, left == n, &run->answer, error));
        at += n;
        if (g->prefill != NULL)
            g->prefill(g->context, at, g->prompt_tokens);
    }
out:
    return status;
}

bool eng_ends_text(const struct eng_model_shape *shape, int32_t token)
{
    for (size_t i = 0; i < shape->eos_count; i++)
        if (shape->eos[i] == token)
            return true;
    return false;
}

enum base_status eng_generate(const struct eng_generation *g, struct eng_generated *ret,
                              struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_generated result = {0};
    struct run run;
    TRY(open_run(&run, g, &result, error));
    if (g->backend->begin != NULL)
        TRY(g->backend->begin(g->backend->context, g->prompt_tokens, g->new_tokens, error));
    double start = base_clock_seconds();
    TRY(feed_prompt(&run, error));
    double first = base_clock_seconds();
    for (;;) {
        int32_t token = choose(&run);
        if (!g->ignore_eos && eng_ends_text(g->shape, token))
            break;
        result.tokens[result.count++] = token;
        bool wanted = g->token == NULL || g->token(g->context, token);
        if (!wanted || result.count == g->new_tokens)
            break;
        double before = base_clock_seconds();
        TRY(g->backend->step(g->backend->context, &token, 1, 1, &run.answer, error));
        result.step_seconds[result.decode_steps++] = base_clock_seconds() - before;
    }
    result.prefill_seconds = first - start;
    result.decode_seconds = base_clock_seconds() - first;
    *ret = result;
    result.tokens = NULL;
    result.step_seconds = NULL;
out:
    base_free_secret(&run.answer.logits);
    base_free_secret(&run.logits);
    eng_generated_finish(&result);
    return status;
}

void eng_generated_finish(struct eng_generated *generated)
{
    base_free_secret(&generated->tokens);
    base_free(&generated->step_seconds);
}
