/* A run of requests: which step comes next, and what comes of it.
 *
 * Orders are planned a few ahead, so that P0's material is there in time; a planned order is carried out whatever happens meanwhile, unless
 * nobody wants anything any more. Prompts are read one after the other, oldest first, in turns with a token for each request that is past its
 * prompt: an answer waits at most for one chunk of somebody's prompt between two tokens. Nobody waits for another request's end while a slot is
 * free. */
#include "base/clock.h"
#include "base/memory.h"
#include "engine/generate.h"
#include "parties/library/library.h"

#include <string.h>

enum { DEPTH = 4 };

struct run {
    struct cachet *c;
    bool inside;
    struct cachet_job *step_job; /* whose prompt the step under way reads; NULL: none */
    size_t step_rows;
};

static struct cachet_job *at(const struct run *run, size_t slot)
{
    return run->c->running[slot];
}

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

/* It wants no more. Its owner hears of it when the step is over, or the run, if it was the last one. */
static void finish(struct run *run, struct cachet_job *job, enum cachet_finish how, const struct base_error *error)
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

/* The jobs are their owners' again, who may free them: nobody may touch them after this. */
static void hand_back(struct cachet *c)
{
    while (c->ending != NULL) {
        struct cachet_job *job = c->ending;
        c->ending = job->next;
        job->next = NULL;
        library_end(c, job, job->finish, &job->failure);
    }
}

/* --- planning ------------------------------------------------------------------------------------------------------ */

static const struct eng_remote_slot *slot_of(const struct run *run, size_t i)
{
    return &run->c->remote.slot[i];
}

static bool decodes(const struct run *run, size_t i)
{
    const struct eng_remote_slot *s = slot_of(run, i);
    return s->open && run->c->running[i] != NULL && s->planned >= s->prompt_tokens &&
           s->planned - s->prompt_tokens + 1 < s->new_tokens;
}

static bool reads(const struct run *run, size_t i)
{
    const struct eng_remote_slot *s = slot_of(run, i);
    return s->open && run->c->running[i] != NULL && s->planned < s->prompt_tokens;
}

static void begin_job(struct run *run, struct cachet_job *job, size_t slot)
{
    job->slot = slot;
    job->began = job->previous = base_clock_seconds();
    run->c->running[slot] = job;
    run->c->begun++;
    library_log(run->c, 2, job, "begins: %zu prompt tokens, %zu new ones at most", job->request.token_count, job->request.max_tokens);
}

static struct eng_order open_order(const struct cachet_job *job, size_t slot)
{
    struct eng_order order = {.kind = ENG_ORDER_OPEN,
                              .slots = UINT32_C(1) << slot,
                              .prompt_tokens = (uint32_t)job->request.token_count,
                              .new_tokens = (uint32_t)job->request.max_tokens};
    memcpy(order.id, job->id, sizeof order.id);
    return order;
}

/* Slots whose request has ended, and requests that may have a free one. *ret: there was such an order. */
static enum base_status plan_slots(struct run *run, bool *ret, struct base_error *error)
{
    struct cachet *c = run->c;
    enum base_status status = BASE_OK;
    *ret = true;
    for (size_t i = 0; i < c->slots; i++)
        if (slot_of(run, i)->open && c->running[i] == NULL) {
            struct eng_order order = {.kind = ENG_ORDER_CLOSE, .slots = UINT32_C(1) << i};
            TRY(eng_remote_plan(&c->remote, &order, error));
            return BASE_OK;
        }
    for (size_t i = 0; i < c->slots && !run->inside; i++) {
        if (slot_of(run, i)->busy)
            continue;
        struct cachet_job *job = library_take(c, false, run->inside);
        if (job == NULL)
            break;
        struct eng_order order = open_order(job, i);
        begin_job(run, job, i);
        TRY(eng_remote_plan(&c->remote, &order, error));
        return BASE_OK;
    }
    *ret = false;
out:
    return status;
}

/* The next step, if any slot needs one. */
static enum base_status plan_step(struct run *run, bool *ret, struct base_error *error)
{
    struct cachet *c = run->c;
    enum base_status status = BASE_OK;
    size_t reader = c->slots;
    uint32_t decoders = 0;
    for (size_t i = 0; i < c->slots; i++) {
        if (decodes(run, i))
            decoders |= UINT32_C(1) << i;
        if (reads(run, i) && (reader == c->slots || c->running[i]->began < c->running[reader]->began))
            reader = i;
    }
    bool prompt = reader < c->slots && (decoders == 0 || !c->last_was_prompt);
    *ret = prompt || decoders != 0;
    if (!*ret)
        return BASE_OK;
    struct eng_order order = {.kind = ENG_ORDER_STEP, .slots = prompt ? UINT32_C(1) << reader : decoders};
    c->last_was_prompt = prompt;
    TRY(eng_remote_plan(&c->remote, &order, error));
out:
    return status;
}

static enum base_status plan(struct run *run, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (bool more = true; more && run->c->remote.planned_count < DEPTH;) {
        TRY(plan_slots(run, &more, error));
        if (!more)
            TRY(plan_step(run, &more, error));
    }
out:
    return status;
}

/* --- a step -------------------------------------------------------------------------------------------------------- */

static bool anyone(const struct run *run)
{
    for (size_t i = 0; i < run->c->slots; i++)
        if (at(run, i) != NULL && !library_cancelled(run->c, at(run, i)))
            return true;
    return false;
}

static bool wanted(void *context)
{
    const struct run *run = context;
    return !library_closing(run->c) && anyone(run);
}

static void tell_progress(const struct run *run, struct cachet_job *job, size_t layer)
{
    size_t layers = run->c->model.layers;
    struct cachet_progress p = {.rows_done = job->rows_done,
                                .rows = job->request.token_count,
                                .layer = layer,
                                .layers = layers,
                                .seconds = base_clock_seconds() - job->began};
    double done = (double)job->rows_done + (double)run->step_rows * (double)layer / (double)layers;
    p.expected = done > 0 ? p.seconds * (double)p.rows / done : 0;
    if (job->request.progress != NULL)
        job->request.progress(job->request.context, &p);
}

static void layer_done(void *context, size_t layer)
{
    const struct run *run = context;
    if (run->step_job != NULL && run->step_job == at(run, run->step_job->slot))
        tell_progress(run, run->step_job, layer);
}

/* Tokens of the step's rows: those of slots whose request has ended are of no account. */
static void fill_tokens(struct run *run, const struct eng_order *order)
{
    struct cachet *c = run->c;
    size_t count = 0;
    run->step_job = NULL;
    for (size_t i = 0; i < c->slots; i++) {
        if (!(order->slots >> i & 1))
            continue;
        const struct eng_remote_slot *s = slot_of(run, i);
        struct cachet_job *job = at(run, i);
        if (s->fed >= s->prompt_tokens) {
            c->tokens[count++] = job == NULL ? 0 : job->last;
            continue;
        }
        size_t left = s->prompt_tokens - s->fed;
        run->step_rows = left < c->client.chunk ? left : c->client.chunk;
        run->step_job = job;
        for (size_t r = 0; r < run->step_rows; r++)
            c->tokens[r] = job == NULL ? 0 : job->request.tokens[s->fed + r];
    }
}

/* What went over the links of the client for one step. */
static uint64_t count_client(struct cachet *c, const struct eng_remote_step *step, size_t answers, bool prompt)
{
    const struct eng_share *share = &c->client.share;
    uint64_t logits = 2 * (mpc_bits(answers * share->shape.vocab, eng_logit_ring(&share->shape, &share->plan)) +
                           mpc_bits(answers, share->plan.ring - ENG_SQUARES_CUT)),
             received = 0, sent = 0;
    (void)pthread_mutex_lock(&c->lock);
    for (int i = 0; i < 3; i++) {
        struct cachet_party *party = &c->state.party[i];
        uint64_t own = ENG_STEP_REPORT_BYTES + (i > 0 ? 8 + (c->remote.request.mode == ENG_REQUEST_SAMPLE ? logits : 0) : 0) +
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

static bool ends_text(const struct cachet *c, const struct cachet_job *job, int32_t token)
{
    const struct eng_model_shape *shape = &c->client.share.shape;
    for (size_t i = 0; i < shape->eos_count && !job->request.ignore_eos; i++)
        if (shape->eos[i] == token)
            return true;
    return false;
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
    if (ends_text(c, job, id)) {
        finish(run, job, CACHET_FINISH_STOP, NULL);
        return;
    }
    token.index = job->result.new_tokens++;
    token.id = id;
    token.seconds = now - job->previous;
    job->previous = now;
    if (job->first == 0)
        job->first = now;
    if (text_of(c, job, &token, &stopped, &error) != BASE_OK) {
        finish(run, job, CACHET_FINISH_FAILED, &error);
        return;
    }
    job->last = id;
    emit(job, token);
    if (stopped)
        finish(run, job, CACHET_FINISH_STOP, NULL);
    else if (job->result.new_tokens == job->request.max_tokens)
        finish(run, job, CACHET_FINISH_LENGTH, NULL);
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

/* What a step gave to each of its requests. No party learns that an answer is void: its prompt is read to the end. */
static void take_answers(struct run *run, const struct eng_order *order, const struct eng_remote_step *step, size_t answers, bool prompt)
{
    struct cachet *c = run->c;
    struct base_error error = {0};
    struct cachet_token costs = {.rounds = step->report[1].rounds,
                                 .online_bytes = step->report[1].online + step->report[2].online,
                                 .dealt_bytes = step->report[1].dealt,
                                 .client_bytes = count_client(c, step, answers, prompt)};
    for (size_t i = 0; i < c->slots; i++)
        costs.shared_with += (order->slots >> i & 1) && at(run, i) != NULL;
    costs.shared_with -= costs.shared_with > 0;
    for (size_t i = 0, row = 0; i < c->slots; i++) {
        if (!(order->slots >> i & 1))
            continue;
        size_t own = row++;
        struct cachet_job *job = at(run, i);
        if (job == NULL)
            continue;
        add_costs(job, &costs);
        job->result.steps += !prompt;
        job->is_void = job->is_void || step->is_void;
        if (prompt) {
            job->rows_done += run->step_rows;
            run->step_rows = 0;
            tell_progress(run, job, c->model.layers);
        }
        if (answers == 0)
            continue;
        int32_t id = choose(run, job, step->answer, own);
        if (job->is_void) {
            (void)eng_fail_void(&error);
            finish(run, job, CACHET_FINISH_FAILED, &error);
        } else {
            take_token(run, job, &costs, id);
        }
    }
}

static enum base_status carry_out(struct run *run, struct base_error *error)
{
    struct cachet *c = run->c;
    enum base_status status = BASE_OK;
    struct eng_answer answer = {.logits = c->logits, .squares = c->squares};
    struct eng_remote_step step = {.answer = &answer};
    struct eng_remote_watch watch = {.wanted = wanted, .layer = layer_done, .context = run};
    struct eng_order order = c->remote.planned[0];
    if (order.kind != ENG_ORDER_STEP)
        return eng_remote_run(&c->remote, NULL, &watch, &step, error);
    fill_tokens(run, &order);
    size_t first = 0, rows = 0;
    while (!(order.slots >> first & 1))
        first++;
    bool prompt = slot_of(run, first)->fed < slot_of(run, first)->prompt_tokens;
    for (size_t i = 0; i < c->slots; i++)
        rows += order.slots >> i & 1;
    if (prompt)
        rows = slot_of(run, first)->fed + run->step_rows == slot_of(run, first)->prompt_tokens;
    TRY(eng_remote_run(&c->remote, c->tokens, &watch, &step, error));
    take_answers(run, &order, &step, rows, prompt);
out:
    return status;
}

/* Those that were cancelled have ended. */
static void end_cancelled(struct run *run)
{
    struct cachet *c = run->c;
    for (size_t i = 0; i < c->slots; i++)
        if (c->running[i] != NULL && library_cancelled(c, c->running[i]))
            finish(run, c->running[i], CACHET_FINISH_CANCELLED, NULL);
}

/* --- a run --------------------------------------------------------------------------------------------------------- */

static enum base_status begin(struct run *run, struct cachet_job *job, struct base_error *error)
{
    struct cachet *c = run->c;
    struct eng_remote_form form = {
        .shape = &c->client.share.shape, .plan = &c->client.share.plan, .kern = kern_table_select(~0u)};
    struct eng_request request = {.prompt_tokens = (uint32_t)job->request.token_count,
                                  .new_tokens = (uint32_t)job->request.max_tokens,
                                  .chunk = (uint32_t)c->client.chunk,
                                  .mode = run->inside ? ENG_REQUEST_ARGMAX : ENG_REQUEST_SAMPLE};
    memcpy(form.link, c->client.link, sizeof form.link);
    memcpy(request.id, job->id, sizeof request.id);
    begin_job(run, job, 0);
    for (int i = 0; i < 3; i++) {
        net_link_reset_count(c->client.link[i]);
        c->sent[i] = 0;
    }
    return eng_remote_begin(&c->remote, &form, &request, false, error);
}

static struct cachet_phase phase_of(const struct eng_phase_usage *u)
{
    return (struct cachet_phase){.tokens = u->tokens,
                                 .rounds = u->rounds,
                                 .online_bytes = u->online,
                                 .dealt_bytes = u->offline,
                                 .client_bytes = u->client,
                                 .seconds = (double)u->microseconds * 1e-6,
                                 .processor_seconds = (double)u->cpu_microseconds * 1e-6};
}

/* Ends the run in order; the reports are those of its only request, if there was one. */
static enum base_status end_run(struct cachet *c, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_usage usage[3];
    uint64_t sent[2] = {eng_remote_sent(&c->remote, NET_PHASE_PREFILL), eng_remote_sent(&c->remote, NET_PHASE_DECODE)};
    TRY(eng_remote_end(&c->remote, usage, error));
    for (struct cachet_job *job = c->begun == 1 ? c->ending : NULL; job != NULL; job = job->next) {
        job->result.alone = true;
        job->result.sent_prompt = sent[0];
        job->result.sent_decode = sent[1];
        for (int i = 0; i < 3; i++)
            job->result.report[i] = (struct cachet_report){.prompt = phase_of(&usage[i].prefill),
                                                           .decode = phase_of(&usage[i].decode),
                                                           .opened_values = usage[i].opened,
                                                           .peak_memory = usage[i].peak_memory};
    }
out:
    return status;
}

enum base_status library_serve(struct cachet *c, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct base_error cause = {0};
    struct cachet_job *job = library_take(c, true, false);
    if (job == NULL)
        return BASE_OK;
    struct run run = {.c = c, .inside = job->request.inside};
    c->last_was_prompt = false;
    c->begun = 0;
    TRY(begin(&run, job, &cause));
    while (wanted(&run)) {
        TRY(plan(&run, &cause));
        if (c->remote.planned_count == 0)
            break;
        status = carry_out(&run, &cause);
        /* A step that was left because nobody wants it ends the run in order. */
        if (status == BASE_ERR_CLOSED && !wanted(&run))
            status = BASE_OK;
        TRY(status);
        end_cancelled(&run);
        if (wanted(&run))
            hand_back(c);
    }
    end_cancelled(&run);
    cause = (struct base_error){0};
    TRY(end_run(c, &cause));
out:
    for (size_t i = 0; i < c->slots; i++)
        if (c->running[i] != NULL)
            finish(&run, c->running[i],
                   library_cancelled(c, c->running[i]) ? CACHET_FINISH_CANCELLED : CACHET_FINISH_FAILED, &cause);
    hand_back(c);
    eng_remote_finish(&c->remote);
    return status == BASE_OK ? BASE_OK : base_fail(error, status, "%s", cause.text);
}
