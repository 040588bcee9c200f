/* What comes of a step: tokens and their text, costs, progress, and the ends of requests. */
#include "base/clock.h"
#include "base/memory.h"
#include "engine/generate.h"
#include "mpc/opening.h"
#include "parties/library/run.h"

#include <string.h>

enum { GUARD_BYTES = 8 };

/* --- ends ---------------------------------------------------------------------------------------------------------- */

static void emit(struct cachet_job *job, struct cachet_token token)
{
    const struct cachet_request *r = &job->request;
    if (r->token != NULL && (token.id >= 0 || token.size > 0) && !r->token(r->context, &token))
        cachet_cancel(job);
}

/* Text that was held back, once no stop text can come. */
static void flush_text(struct cachet_job *job)
{
    const char *text;
    size_t size;
    stop_text_flush(&job->stop, &text, &size);
    emit(job, (struct cachet_token){.index = job->result.new_tokens, .id = -1, .text = text, .size = size});
}

void library_finish(struct run *run, struct cachet_job *job, enum cachet_finish how, const struct base_error *error)
{
    struct cachet *c = run->c;
    double now = base_clock_seconds();
    if (how == CACHET_FINISH_STOP || how == CACHET_FINISH_LENGTH)
        flush_text(job);
    c->running[job->slot] = NULL;
    job->result.waited_seconds = job->began - job->submitted;
    job->result.prompt_seconds = (job->first > 0 ? job->first : now) - job->began;
    job->result.decode_seconds = job->first > 0 ? now - job->first : 0;
    job->finish = how;
    if (error != NULL)
        job->failure = *error;
    job->next = c->ending;
    c->ending = job;
}

void library_hand_back(struct cachet *c)
{
    while (c->ending != NULL) {
        struct cachet_job *job = c->ending;
        c->ending = job->next;
        job->next = NULL;
        library_end(c, job, job->finish, &job->failure);
    }
}

void library_tell_progress(const struct run *run, struct cachet_job *job, size_t layer)
{
    size_t layers = run->c->model.layers;
    struct cachet_progress p = {.rows_done = job->rows_done,
                                .rows = job->request.token_count,
                                .layer = layer,
                                .layers = layers,
                                .seconds = base_clock_seconds() - job->began};
    p.material = job->result.material;
    double done = (double)job->rows_done + (double)run->step_rows * (double)layer / (double)layers;
    p.expected = done > 0 ? p.seconds * (double)p.rows / done : 0;
    if (job->request.progress != NULL)
        job->request.progress(job->request.context, &p);
}

/* What went over the links of the client for one step. */
static uint64_t count_client(struct cachet *c, const struct eng_remote_step *step, size_t answers, bool prompt)
{
    const struct eng_share *share = &c->client.share;
    uint64_t m = mpc_bits(answers * share->shape.vocab, eng_logit_ring(&share->shape, &share->plan)) +
                 mpc_bits(answers, share->plan.ring - ENG_SQUARES_CUT),
             received = 0, sent = 0;
    (void)pthread_mutex_lock(&c->lock);
    for (int i = party_config_first(c->client.config.mode); i < 3; i++) {
        struct cachet_party *party = &c->state.party[i];
        uint64_t own = ENG_STEP_REPORT_BYTES + (i > 0 ? GUARD_BYTES : 0) +
                       (answers == 0 || i == 0 || c->remote.request.mode != ENG_REQUEST_SAMPLE ? 0
                        : i == 1                                                              ? 2 * m
                                                                                              : m + 2 * MPC_OPEN_DIGEST) +
                       (i == 1 && prompt ? c->model.layers * ENG_PROGRESS_BYTES : 0);
        uint64_t all = eng_remote_sent_to(&c->remote, i);
        sent += all - c->sent[i];
        party->sent_bytes += all - c->sent[i];
        c->sent[i] = all;
        party->received_bytes += own;
        received += own;
        party->rounds += step->report[i].rounds;
        *(i == 0 ? &party->dealt_bytes : &party->online_bytes) += step->report[i].online;
        party->stalled_seconds += step->report[i].waited * 1e-3;
    }
    c->state.party[0].steps_ahead = c->remote.dealt_steps - c->remote.steps;
    (void)pthread_mutex_unlock(&c->lock);
    return sent + received;
}

/* What a token adds to the text that may be shown. */
static enum base_status text_of(struct cachet *c, struct cachet_job *job, struct cachet_token *token, bool *ret_ended,
                                struct base_error *error)
{
    enum { MOST = 4096 };
    enum base_status status = BASE_OK;
    char text[3 * (MOST + 3)];
    struct eng_piece piece;
    *ret_ended = false;
    if (c->tokenizer == NULL || (size_t)token->id >= eng_tokenizer_vocabulary(c->tokenizer))
        return BASE_OK;
    TRY(eng_tokenizer_decode_piece(c->tokenizer, job->last, token->id, &piece, error));
    size_t size = piece.size <= MOST ? eng_utf8_push(&job->utf8, piece.bytes, piece.size, text) : 0;
    TRY(stop_text_push(&job->stop, text, size, &token->text, &token->size, ret_ended, error));
out:
    base_wipe(text, sizeof text);
    return status;
}

/* One new token of one request. */
static void take_token(struct run *run, struct cachet_job *job, const struct cachet_token *costs, int32_t id)
{
    struct cachet *c = run->c;
    struct base_error error = {0};
    struct cachet_token token = *costs;
    double now = base_clock_seconds();
    bool stopped;
    if (!job->request.ignore_eos && eng_ends_text(&c->client.share.shape, id)) {
        library_finish(run, job, CACHET_FINISH_STOP, NULL);
        return;
    }
    token.index = job->result.new_tokens++;
    token.id = id;
    token.seconds = now - job->previous;
    job->previous = now;
    if (job->first == 0)
        job->first = now;
    if (text_of(c, job, &token, &stopped, &error) != BASE_OK) {
        library_finish(run, job, CACHET_FINISH_FAILED, &error);
        return;
    }
    job->last = id;
    emit(job, token);
    if (stopped)
        library_finish(run, job, CACHET_FINISH_STOP, NULL);
    else if (job->result.new_tokens == job->request.max_tokens)
        library_finish(run, job, CACHET_FINISH_LENGTH, NULL);
}

static int32_t choose(struct run *run, struct cachet_job *job, const struct eng_answer *answer, size_t row)
{
    struct cachet *c = run->c;
    const struct eng_share *share = &c->client.share;
    if (run->inside)
        return answer->token;
    struct eng_answer own = {.logits = answer->logits + row * share->shape.vocab, .squares = answer->squares + row};
    eng_normalise_logits(&share->shape, &share->plan, &own, 1, c->normal);
    return eng_sampler_pick(&job->sampler, c->normal);
}

static void add_costs(struct cachet_job *job, const struct cachet_token *costs)
{
    job->result.rounds += costs->rounds;
    job->result.online_bytes += costs->online_bytes;
    job->result.dealt_bytes += costs->dealt_bytes;
    job->result.client_bytes += costs->client_bytes;
}

void library_take_answers(struct run *run, const struct eng_order *order, const struct eng_remote_step *step, size_t answers, bool prompt)
{
    struct cachet *c = run->c;
    struct base_error error = {0};
    struct cachet_token costs = {.rounds = step->report[1].rounds,
                                 .online_bytes = step->report[1].online + step->report[2].online,
                                 .dealt_bytes = step->report[1].dealt,
                                 .client_bytes = count_client(c, step, answers, prompt)};
    for (size_t i = 0; i < c->slots; i++)
        costs.shared_with += (order->slots >> i & 1) && library_at(run, i) != NULL;
    costs.shared_with -= costs.shared_with > 0;
    for (size_t i = 0, row = 0; i < c->slots; i++) {
        if (!(order->slots >> i & 1))
            continue;
        size_t own = row++;
        struct cachet_job *job = library_at(run, i);
        if (job == NULL)
            continue;
        add_costs(job, &costs);
        job->result.steps += !prompt;
        job->is_void = job->is_void || step->is_void;
        if (prompt) {
            job->rows_done += run->step_rows;
            run->step_rows = 0;
            library_tell_progress(run, job, c->model.layers);
        }
        if (answers == 0)
            continue;
        int32_t id = choose(run, job, step->answer, own);
        if (job->is_void) {
            (void)eng_fail_void(&error);
            library_finish(run, job, CACHET_FINISH_FAILED, &error);
        } else {
            take_token(run, job, &costs, id);
        }
    }
}

