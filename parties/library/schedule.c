/* A run of requests: which step comes next.
 *
 * Orders are planned a few ahead, so that P0's material is there in time; a planned order is carried out whatever happens meanwhile, unless
 * nobody wants anything any more. Prompts are read one after the other, oldest first, in turns with a token for each request that is past its
 * prompt: an answer waits at most for one chunk of somebody's prompt between two tokens. Nobody waits for another request's end while a slot is
 * free. */
#include "base/clock.h"
#include "base/memory.h"
#include "parties/library/run.h"

#include <string.h>

enum { DEPTH = 4 };

/* --- planning ------------------------------------------------------------------------------------------------------ */

static bool decodes(const struct run *run, size_t i)
{
    const struct eng_remote_slot *s = library_slot(run, i);
    return s->open && run->c->running[i] != NULL && s->planned >= s->prompt_tokens &&
           s->planned - s->prompt_tokens + 1 < s->new_tokens;
}

static bool reads(const struct run *run, size_t i)
{
    const struct eng_remote_slot *s = library_slot(run, i);
    return s->open && run->c->running[i] != NULL && s->planned < s->prompt_tokens;
}

static void begin_job(struct run *run, struct cachet_job *job, size_t slot)
{
    job->slot = slot;
    job->began = job->previous = base_clock_seconds();
    run->c->running[slot] = job;
    run->c->begun++;
    library_tell_ahead(job, 0);
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
        if (library_slot(run, i)->open && c->running[i] == NULL) {
            struct eng_order order = {.kind = ENG_ORDER_CLOSE, .slots = UINT32_C(1) << i};
            TRY(eng_remote_plan(&c->remote, &order, error));
            return BASE_OK;
        }
    for (size_t i = 0; i < c->slots && !run->inside; i++) {
        if (library_slot(run, i)->busy)
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
        if (library_at(run, i) != NULL && !library_cancelled(run->c, library_at(run, i)))
            return true;
    return false;
}

static bool wanted(void *context)
{
    const struct run *run = context;
    return !library_closing(run->c) && anyone(run);
}

static void layer_done(void *context, size_t layer)
{
    const struct run *run = context;
    if (run->step_job != NULL && run->step_job == library_at(run, run->step_job->slot))
        library_tell_progress(run, run->step_job, layer);
}

/* Mode two-party: the first step of a request tells. */
static void source_known(void *context, enum eng_text_source source, uint32_t left)
{
    static const enum cachet_material material[ENG_TEXT_SOURCES] = {
        [ENG_TEXT_MADE] = CACHET_MATERIAL_MADE, [ENG_TEXT_DRY] = CACHET_MATERIAL_DRY, [ENG_TEXT_SPOOLED] = CACHET_MATERIAL_SPOOLED};
    const struct run *run = context;
    struct cachet_job *job = run->step_job;
    if (job == NULL || job != library_at(run, job->slot))
        return;
    job->result.material = material[source];
    job->result.texts_left = left;
    if (source == ENG_TEXT_DRY)
        library_log(run->c, 2, job, "no material waits for it: each step's is made before it");
    else if (source == ENG_TEXT_SPOOLED)
        library_log(run->c, 2, job, "its material was made ahead of use; %u more such texts wait", left);
    library_tell_progress(run, job, 0);
}

/* Tokens of the step's rows: those of slots whose request has ended are of no account. */
static void fill_tokens(struct run *run, const struct eng_order *order, size_t rows)
{
    struct cachet *c = run->c;
    size_t count = 0;
    run->step_job = NULL;
    for (size_t i = 0; i < c->slots; i++) {
        if (!(order->slots >> i & 1))
            continue;
        const struct eng_remote_slot *s = library_slot(run, i);
        struct cachet_job *job = library_at(run, i);
        if (s->fed >= s->prompt_tokens) {
            c->tokens[count++] = job == NULL ? 0 : job->last;
            continue;
        }
        run->step_rows = rows;
        run->step_job = job;
        for (size_t r = 0; r < rows; r++)
            c->tokens[r] = job == NULL ? 0 : job->request.tokens[s->fed + r];
    }
}

static enum base_status carry_out(struct run *run, struct base_error *error)
{
    struct cachet *c = run->c;
    enum base_status status = BASE_OK;
    struct eng_answer answer = {.logits = c->logits, .squares = c->squares};
    struct eng_remote_step step = {.answer = &answer};
    struct eng_remote_watch watch = {.wanted = wanted, .layer = layer_done, .source = source_known, .context = run};
    struct eng_order order = c->remote.planned[0];
    if (order.kind != ENG_ORDER_STEP)
        return eng_remote_run(&c->remote, NULL, &watch, &step, error);
    size_t first = (size_t)__builtin_ctz(order.slots), rows, answers;
    bool prompt = library_slot(run, first)->fed < library_slot(run, first)->prompt_tokens;
    eng_remote_step_size(&c->remote, order.slots, &rows, &answers);
    fill_tokens(run, &order, rows);
    TRY(eng_remote_run(&c->remote, c->tokens, &watch, &step, error));
    library_take_answers(run, &order, &step, answers, prompt);
out:
    return status;
}

/* Those that were cancelled have ended. */
static void end_cancelled(struct run *run)
{
    struct cachet *c = run->c;
    for (size_t i = 0; i < c->slots; i++)
        if (c->running[i] != NULL && library_cancelled(c, c->running[i]))
            library_finish(run, c->running[i], CACHET_FINISH_CANCELLED, NULL);
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
    for (int i = party_config_first(c->client.config.mode); i < 3; i++) {
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
            library_hand_back(c);
        library_look_at_queue(c);
    }
    end_cancelled(&run);
    cause = (struct base_error){0};
    TRY(end_run(c, &cause));
out:
    /* The parties hear why before anybody can close the client over it. */
    if (status != BASE_OK && !library_closing(c))
        node_tell_all(c->client.link, &cause);
    for (size_t i = 0; i < c->slots; i++)
        if (c->running[i] != NULL)
            library_finish(&run, c->running[i],
                   library_cancelled(c, c->running[i]) ? CACHET_FINISH_CANCELLED : CACHET_FINISH_FAILED, &cause);
    library_hand_back(c);
    eng_remote_finish(&c->remote);
    return status == BASE_OK ? BASE_OK : base_fail(error, status, "%s", cause.text);
}
