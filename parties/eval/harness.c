#include "parties/eval/harness.h"

#include "base/memory.h"
#include "base/progress.h"
#include "engine/twin.h"

#include <pthread.h>
#include <string.h>

enum { ANSWER = 16, DEPTHS = 5 };

/* What one thread runs: the full cache that reads for others, and a twin per cell. */
struct worker {
    const struct eval_form *form;
    const struct eval_task *task;
    size_t length, first;
    size_t *hits;
    struct eng_twin leader, *twin; /* [cells] */
    struct eng_decoder **followers;
    bool *follows;
    size_t follower_count;
    int64_t *logits, square;
    enum base_status status;
    struct base_error error;
    struct base_progress progress;
    pthread_t thread;
    bool started;
};

static int32_t likeliest(const struct worker *w)
{
    size_t vocab = w->form->decoder.shape->vocab, best = 0;
    for (size_t v = 1; v < vocab; v++)
        if (w->logits[v] > w->logits[best])
            best = v;
    return (int32_t)best;
}

static enum base_status step(struct worker *w, struct eng_twin *twin, const int32_t *tokens, size_t n,
                             size_t rows)
{
    struct eng_backend backend = eng_twin_backend(twin);
    struct eng_answer answer = {.logits = w->logits, .squares = &w->square};
    return backend.step(backend.context, tokens, n, rows, &answer, &w->error);
}

static enum base_status read_prompt(struct worker *w, struct eng_twin *twin, const struct eng_tokens *tokens)
{
    enum base_status status = BASE_OK;
    size_t chunk = twin->decoder.form.chunk;
    for (size_t at = 0; at < tokens->count; at += chunk) {
        size_t left = tokens->count - at, n = left < chunk ? left : chunk;
        TRY(step(w, twin, tokens->ids + at, n, n == left));
    }
out:
    return status;
}

/* Greedy tokens from `token` on against the answer. */
static enum base_status answers(struct worker *w, struct eng_twin *twin, int32_t token,
                                const struct eng_tokens *answer, bool *ret)
{
    enum base_status status = BASE_OK;
    *ret = true;
    for (size_t i = 0; i < answer->count && *ret; i++) {
        *ret = token == answer->ids[i];
        if (!*ret || i + 1 == answer->count)
            break;
        TRY(step(w, twin, &token, 1, 1));
        token = likeliest(w);
    }
out:
    return status;
}

static enum base_status begin(struct worker *w, struct eng_twin *twin)
{
    eng_twin_reset(twin);
    return eng_decoder_begin(&twin->decoder, &twin->party, w->length, ANSWER, &w->error);
}

static enum base_status run_prompt(struct worker *w, const struct eval_prompt *prompt)
{
    enum base_status status = BASE_OK;
    bool right;
    for (size_t c = 0; c < w->form->cell_count; c++)
        TRY(begin(w, &w->twin[c]));
    TRY(begin(w, &w->leader));
    TRY(eng_decoder_follow(&w->leader.decoder, w->followers, w->follower_count, &w->error));
    TRY(read_prompt(w, &w->leader, &prompt->tokens));
    int32_t dense = likeliest(w);
    for (size_t c = 0; c < w->form->cell_count; c++) {
        int32_t token = dense;
        if (!w->follows[c]) {
            TRY(read_prompt(w, &w->twin[c], &prompt->tokens));
            token = likeliest(w);
        }
        TRY(answers(w, &w->twin[c], token, &prompt->answer, &right));
        w->hits[c] += right;
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
    form.context = w->length + ANSWER;
    form.prompt = w->length;
    form.policy = &kv_policy_full;
    TRY(base_alloc(&w->twin, f->cell_count, sizeof *w->twin, error));
    TRY(base_alloc(&w->followers, f->cell_count, sizeof *w->followers, error));
    TRY(base_alloc(&w->follows, f->cell_count, sizeof *w->follows, error));
    TRY(base_alloc(&w->hits, f->cell_count, sizeof *w->hits, error));
    TRY(base_alloc(&w->logits, form.shape->vocab, sizeof *w->logits, error));
    TRY(eng_twin_init(&w->leader, form, kern_table_select(~0u), ENG_REQUEST_SAMPLE, error));
    TRY(begin(w, &w->leader));
    for (size_t c = 0; c < f->cell_count; c++) {
        form.policy = f->cells[c].policy;
        form.config = f->cells[c].config;
        TRY(eng_twin_init(&w->twin[c], form, kern_table_select(~0u), ENG_REQUEST_SAMPLE, error));
        status = eng_decoder_begin(&w->twin[c].decoder, &w->twin[c].party, w->length, ANSWER, error);
        TRY(status);
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
    base_free(&w->hits);
    base_free(&w->logits);
}

static void *run_worker(void *argument)
{
    struct worker *w = argument;
    const struct eval_form *f = w->form;
    for (size_t i = w->first; i < f->prompts && w->status == BASE_OK; i += f->threads) {
        struct eval_prompt prompt = {0};
        w->status =
            eval_prompt_make(&prompt, w->task, f->text, f->tokenizer, w->length,
                             (double)(i % DEPTHS) / (DEPTHS - 1), f->seed * UINT64_C(1000003) + i, &w->error);
        if (w->status == BASE_OK)
            w->status = run_prompt(w, &prompt);
        eval_prompt_finish(&prompt);
        if (w->first == 0)
            base_progress_update(&w->progress, i + 1, 0);
    }
    return NULL;
}

enum base_status eval_run(const struct eval_form *form, const struct eval_task *task, size_t length,
                          size_t *ret_hits, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct worker *worker = NULL;
    memset(ret_hits, 0, form->cell_count * sizeof *ret_hits);
    TRY(base_alloc(&worker, form->threads, sizeof *worker, error));
    for (size_t i = 0; i < form->threads; i++) {
        worker[i] = (struct worker){.form = form, .task = task, .length = length, .first = i};
        TRY(open_worker(&worker[i], error));
    }
    base_progress_start(&worker[0].progress, task->name, form->prompts);
    for (size_t i = 0; i < form->threads; i++)
        worker[i].started = pthread_create(&worker[i].thread, NULL, run_worker, &worker[i]) == 0;
    for (size_t i = 0; i < form->threads; i++) {
        if (worker[i].started)
            (void)pthread_join(worker[i].thread, NULL);
        else
            run_worker(&worker[i]);
        for (size_t c = 0; c < form->cell_count; c++)
            ret_hits[c] += worker[i].hits[c];
    }
    base_progress_finish(&worker[0].progress);
    for (size_t i = 0; i < form->threads; i++)
        if (worker[i].status != BASE_OK)
            TRY(base_fail(error, worker[i].status, "task %s, %zu tokens: %s", task->name, length,
                          worker[i].error.text));
out:
    for (size_t i = 0; worker != NULL && i < form->threads; i++)
        if (worker[i].form != NULL)
            close_worker(&worker[i]);
    base_free(&worker);
    return status;
}
