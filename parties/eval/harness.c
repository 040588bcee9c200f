#include "parties/eval/harness.h"

#include "base/memory.h"
#include "base/progress.h"
#include "engine/twin.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

enum { DEPTHS = 5 };

/* What one thread runs: the full cache that reads for others, and a twin per cell. */
struct worker {
    const struct eval_form *form;
    const struct eval_task *task;
    size_t length, steps, first, stride; /* prompts first, first + stride, .. */
    struct eval_score *scores;           /* [prompts][cells], of all workers */
    struct eng_twin leader, *twin;       /* [cells] */
    struct eng_decoder **followers;
    bool *follows;
    size_t follower_count;
    int64_t *logits, square;
    double *full, *own; /* log-probabilities: the full cache's [steps][vocab], and of one step of a cell */
    enum base_status status;
    struct base_error error;
    struct base_progress progress;
    pthread_t thread;
    bool started;
};

static int32_t likeliest(const int64_t *logits, size_t vocab)
{
    size_t best = 0;
    for (size_t v = 1; v < vocab; v++)
        best = logits[v] > logits[best] ? v : best;
    return (int32_t)best;
}

/* *ret_void: a value left its range; nothing that this twin says of the prompt holds any more. */
static enum base_status step(struct worker *w, struct eng_twin *twin, const int32_t *tokens, size_t n,
                             size_t rows, bool *ret_void)
{
    struct base_error error = {0};
    struct eng_backend backend = eng_twin_backend(twin);
    struct eng_answer answer = {.logits = w->logits, .squares = &w->square};
    enum base_status status = backend.step(backend.context, tokens, n, rows, &answer, &error);
    *ret_void = status == BASE_ERR_RANGE;
    if (*ret_void)
        return BASE_OK;
    return status == BASE_OK ? status : base_fail(&w->error, status, "%s", error.text);
}

static enum base_status read_prompt(struct worker *w, struct eng_twin *twin, const struct eng_tokens *tokens,
                                    bool *ret_void)
{
    enum base_status status = BASE_OK;
    size_t chunk = twin->decoder.form.chunk;
    *ret_void = false;
    for (size_t at = 0; at < tokens->count && !*ret_void; at += chunk) {
        size_t left = tokens->count - at, n = left < chunk ? left : chunk;
        TRY(step(w, twin, tokens->ids + at, n, n == left, ret_void));
    }
out:
    return status;
}

/* --- tasks with a fact ------------------------------------------------------------------------------- */

/* Greedy tokens from `token` on against the answer. */
static enum base_status answers(struct worker *w, struct eng_twin *twin, int32_t token,
                                const struct eng_tokens *answer, struct eval_score *ret)
{
    enum base_status status = BASE_OK;
    bool is_void = false;
    for (size_t i = 0; i < answer->count && token == answer->ids[i]; i++) {
        if (i + 1 == answer->count) {
            ret->hits = 1;
            break;
        }
        TRY(step(w, twin, &token, 1, 1, &is_void));
        if (is_void)
            break;
        token = likeliest(w->logits, w->form->decoder.shape->vocab);
    }
    ret->voids = is_void;
out:
    return status;
}

/* --- running text ------------------------------------------------------------------------------------ */

/* Log-probabilities of the step that w->logits hold. */
static void log_softmax(const struct worker *w, double *ret)
{
    const struct eng_decoder_form *form = &w->form->decoder;
    struct eng_answer answer = {.logits = w->logits, .squares = (int64_t *)&w->square};
    eng_normalise_logits(form->shape, form->plan, &answer, 1, ret);
    double top = ret[likeliest(w->logits, form->shape->vocab)], sum = 0;
    for (size_t v = 0; v < form->shape->vocab; v++)
        sum += exp(ret[v] - top);
    for (size_t v = 0; v < form->shape->vocab; v++)
        ret[v] -= top + log(sum);
}

static size_t largest(const double *values, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        best = values[i] > values[best] ? i : best;
    return best;
}

/* KL(p || q) in nats, from log-probabilities; never below 0 by rounding. */
static double divergence(const double *p, const double *q, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += exp(p[i]) * (p[i] - q[i]);
    return fmax(sum, 0);
}

/* Feeds the true tokens; what the full cache gives at these steps is written (leads) or compared
 * with. */
static enum base_status feed(struct worker *w, struct eng_twin *twin, const struct eng_tokens *text,
                             bool leads, struct eval_score *ret)
{
    enum base_status status = BASE_OK;
    size_t vocab = w->form->decoder.shape->vocab;
    struct eval_score score = {.prompts = 1};
    bool is_void;
    for (size_t i = 0; i + 1 < text->count; i++) {
        double *full = w->full + i * vocab, *own = leads ? full : w->own;
        TRY(step(w, twin, &text->ids[i], 1, 1, &is_void));
        if (is_void) {
            *ret = (struct eval_score){.prompts = 1, .voids = 1};
            return BASE_OK;
        }
        log_softmax(w, own);
        score.steps++;
        score.agreed += largest(own, vocab) == largest(full, vocab);
        score.nats -= own[text->ids[i + 1]];
        score.divergence += divergence(full, own, vocab);
    }
    *ret = score;
out:
    return status;
}

/* --- one prompt under all policies ------------------------------------------------------------------- */

static enum base_status begin(struct worker *w, struct eng_twin *twin)
{
    eng_twin_reset(twin);
    return eng_decoder_begin(&twin->decoder, &twin->party, w->length, w->steps, &w->error);
}

/* One cell, `token` being what the full cache says after the prompt. */
static enum base_status run_cell(struct worker *w, size_t cell, const struct eval_prompt *prompt,
                                 int32_t token, bool is_void, struct eval_score *ret)
{
    enum base_status status = BASE_OK;
    struct eng_twin *twin = &w->twin[cell];
    if (!w->follows[cell]) {
        TRY(read_prompt(w, twin, &prompt->tokens, &is_void));
        token = likeliest(w->logits, w->form->decoder.shape->vocab);
    }
    *ret = (struct eval_score){.prompts = 1, .voids = is_void};
    if (is_void)
        return BASE_OK;
    if (w->task->items == 0)
        TRY(feed(w, twin, &prompt->answer, false, ret));
    else
        TRY(answers(w, twin, token, &prompt->answer, ret));
out:
    return status;
}

static enum base_status run_prompt(struct worker *w, const struct eval_prompt *prompt,
                                   struct eval_score *scores)
{
    enum base_status status = BASE_OK;
    struct eval_score full = {0};
    bool is_void;
    for (size_t c = 0; c < w->form->cell_count; c++)
        TRY(begin(w, &w->twin[c]));
    TRY(begin(w, &w->leader));
    TRY(eng_decoder_follow(&w->leader.decoder, w->followers, w->follower_count, &w->error));
    TRY(read_prompt(w, &w->leader, &prompt->tokens, &is_void));
    int32_t token = likeliest(w->logits, w->form->decoder.shape->vocab);
    if (w->task->items == 0 && !is_void)
        TRY(feed(w, &w->leader, &prompt->answer, true, &full));
    for (size_t c = 0; c < w->form->cell_count; c++) {
        /* Without the full cache's steps there is nothing to compare with. */
        if (w->task->items == 0 && full.steps == 0)
            scores[c] = (struct eval_score){.prompts = 1, .voids = 1};
        else
            TRY(run_cell(w, c, prompt, token, is_void, &scores[c]));
    }
out:
    return status;
}

static enum base_status open_worker(struct worker *w, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct eval_form *f = w->form;
    struct eng_decoder_form form = f->decoder;
    struct eng_decoder *one;
    form.context = w->length + w->steps;
    form.prompt = w->length;
    form.policy = &kv_policy_full;
    TRY(base_alloc(&w->twin, f->cell_count, sizeof *w->twin, error));
    TRY(base_alloc(&w->followers, f->cell_count, sizeof *w->followers, error));
    TRY(base_alloc(&w->follows, f->cell_count, sizeof *w->follows, error));
    TRY(base_alloc(&w->logits, form.shape->vocab, sizeof *w->logits, error));
    TRY(base_alloc(&w->own, form.shape->vocab, sizeof *w->own, error));
    if (w->task->items == 0)
        TRY(base_alloc(&w->full, w->steps * form.shape->vocab, sizeof *w->full, error));
    form.followers = f->cell_count;
    TRY(eng_twin_init(&w->leader, form, kern_table_select(~0u), ENG_REQUEST_SAMPLE, error));
    form.followers = 0;
    TRY(begin(w, &w->leader));
    for (size_t c = 0; c < f->cell_count; c++) {
        form.policy = f->cells[c].policy;
        form.config = f->cells[c].config;
        TRY(eng_twin_init(&w->twin[c], form, kern_table_select(~0u), ENG_REQUEST_SAMPLE, error));
        TRY(eng_decoder_begin(&w->twin[c].decoder, &w->twin[c].party, w->length, w->steps, error));
        one = &w->twin[c].decoder;
        struct base_error refused = {0};
        w->follows[c] = eng_decoder_follow(&w->leader.decoder, &one, 1, &refused) == BASE_OK;
        if (w->follows[c])
            w->followers[w->follower_count++] = one;
    }
out:
    return status;
}

static void close_worker(struct worker *w)
{
    for (size_t c = 0; w->twin != NULL && c < w->form->cell_count; c++)
        eng_twin_finish(&w->twin[c]);
    eng_twin_finish(&w->leader);
    base_free(&w->twin);
    base_free(&w->followers);
    base_free(&w->follows);
    base_free(&w->logits);
    base_free(&w->own);
    base_free(&w->full);
}

static void *run_worker(void *argument)
{
    struct worker *w = argument;
    const struct eval_form *f = w->form;
    for (size_t i = w->first; i < f->prompts && w->status == BASE_OK; i += w->stride) {
        struct eval_prompt prompt = {0};
        struct eval_prompt_form ask = {.task = w->task,
                                       .text = f->text,
                                       .tokenizer = f->tokenizer,
                                       .length = w->length,
                                       .scored = f->scored,
                                       .depth = (double)(i % DEPTHS) / (DEPTHS - 1),
                                       .seed = f->seed * UINT64_C(1000003) + i};
        w->status = eval_prompt_make(&prompt, &ask, &w->error);
        if (w->status == BASE_OK)
            w->status = run_prompt(w, &prompt, &w->scores[i * f->cell_count]);
        eval_prompt_finish(&prompt);
        if (w->first == 0)
            base_progress_update(&w->progress, i + 1, 0);
    }
    return NULL;
}

/* Threads run what workers hold; a thread that does not start costs time only. */
static void run_workers(struct worker *worker, size_t threads)
{
    for (size_t i = 0; i < threads; i++)
        worker[i].started = pthread_create(&worker[i].thread, NULL, run_worker, &worker[i]) == 0;
    for (size_t i = 0; i < threads; i++) {
        if (worker[i].started)
            (void)pthread_join(worker[i].thread, NULL);
        else
            run_worker(&worker[i]);
    }
}

enum base_status eval_run(const struct eval_form *form, const struct eval_task *task, size_t length,
                          struct eval_score *ret_scores, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct worker *worker = NULL;
    struct eval_score *scores = NULL;
    size_t threads = form->threads < form->prompts ? form->threads : form->prompts;
    TRY(base_alloc(&worker, threads, sizeof *worker, error));
    TRY(base_alloc(&scores, form->prompts * form->cell_count, sizeof *scores, error));
    for (size_t i = 0; i < threads; i++) {
        worker[i] = (struct worker){.form = form,
                                    .task = task,
                                    .length = length,
                                    .steps = eval_task_steps(task, form->scored),
                                    .first = i,
                                    .stride = threads,
                                    .scores = scores};
        TRY(open_worker(&worker[i], error));
    }
    base_progress_start(&worker[0].progress, task->name, form->prompts);
    run_workers(worker, threads);
    base_progress_finish(&worker[0].progress);
    for (size_t i = 0; i < threads; i++)
        TRY_THAT(worker[i].status == BASE_OK, error, worker[i].status, "task %s, %zu tokens: %s", task->name,
                 length, worker[i].error.text);
    memset(ret_scores, 0, form->cell_count * sizeof *ret_scores);
    for (size_t i = 0; i < form->prompts * form->cell_count; i++)
        eval_score_add(&ret_scores[i % form->cell_count], &scores[i]);
out:
    for (size_t i = 0; worker != NULL && i < threads; i++)
        if (worker[i].form != NULL)
            close_worker(&worker[i]);
    base_free(&worker);
    base_free(&scores);
    return status;
}
