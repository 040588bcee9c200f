#include "parties/cachet.h"

#include "base/clock.h"
#include "base/memory.h"
#include "parties/library/library.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static enum cachet_code say(struct cachet_error *ret, enum cachet_code code, const char *text)
{
    if (ret == NULL)
        return code;
    ret->code = code;
    (void)snprintf(ret->text, sizeof ret->text, "%s", text);
    return code;
}

enum cachet_code library_tell(struct cachet_error *ret, const struct base_error *error)
{
    return say(ret, (enum cachet_code)base_status_exit_code(error->code), error->text);
}

void library_log(const struct cachet *c, int level, const struct cachet_job *job, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    if (c->options.log == NULL)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    c->options.log(c->options.log_context, level, job == NULL ? NULL : job->id_text, text);
}

/* --- opening ------------------------------------------------------------------------------------------------------- */

static int is_closing(void *context)
{
    return library_closing(context);
}

static void describe(struct cachet *c)
{
    const struct eng_share *share = &c->client.share;
    struct cachet_model *m = &c->model;
    (void)snprintf(m->name, sizeof m->name, "%s-%.12s", share->shape.model_type, share->model);
    (void)snprintf(m->architecture, sizeof m->architecture, "%s", share->shape.model_type);
    (void)snprintf(m->digest, sizeof m->digest, "%s", share->model);
    (void)snprintf(m->plan, sizeof m->plan, "%s", share->plan_digest);
    (void)snprintf(m->policy, sizeof m->policy, "%.255s", c->client.config.cache.policy);
    m->context = c->client.config.limits.context;
    m->vocabulary = share->shape.vocab;
    m->layers = share->shape.layers;
    m->chunk = c->client.chunk;
    m->slots = c->slots;
    m->has_text = c->tokenizer != NULL;
    for (size_t i = 0; i < 3; i++)
        (void)snprintf(c->state.party[i].name, sizeof c->state.party[i].name, "%.31s",
                       party_config_name(&c->client.config, i));
    c->state.most_running = c->slots;
    c->state.most_waiting = c->options.most_waiting;
    (void)snprintf(c->state.reason, sizeof c->state.reason, "not connected yet");
}

static enum base_status open_files(struct cachet *c, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct cachet_options *o = &c->options;
    TRY(client_open(&c->client, o->config, o->key, o->shares, error));
    c->client.cancelled = is_closing;
    c->client.cancel_context = c;
    const char *path = o->tokenizer != NULL ? o->tokenizer : o->shares;
    struct base_error none = {0};
    status = eng_tokenizer_open(&c->tokenizer, path, &none);
    /* A share set without a tokenizer is one of synthetic weights: token ids still work. */
    if (status != BASE_OK && (o->tokenizer != NULL || status != BASE_ERR_IO))
        return base_fail(error, status, "%s", none.text);
    status = BASE_OK;
    c->slots = c->client.config.limits.slots;
    if (o->most_running != 0 && o->most_running < c->slots)
        c->slots = o->most_running;
    size_t vocab = c->client.share.shape.vocab, chunk = c->client.chunk;
    /* A step holds no more rows than a chunk of a prompt. */
    c->slots = c->slots < chunk ? c->slots : chunk;
    TRY(base_alloc(&c->logits, c->slots * vocab, sizeof *c->logits, error));
    TRY(base_alloc(&c->squares, c->slots, sizeof *c->squares, error));
    TRY(base_alloc(&c->normal, vocab, sizeof *c->normal, error));
    TRY(base_alloc(&c->tokens, chunk, sizeof *c->tokens, error));
    describe(c);
out:
    return status;
}

static void close_files(struct cachet *c)
{
    client_close(&c->client);
    eng_tokenizer_close(&c->tokenizer);
    base_free_secret(&c->logits);
    base_free_secret(&c->squares);
    base_free_secret(&c->normal);
    base_free_secret(&c->tokens);
}

enum cachet_code cachet_open(struct cachet **ret, const struct cachet_options *options, struct cachet_error *error)
{
    struct base_error cause = {0};
    struct cachet *c = NULL;
    if (sodium_init() < 0)
        return say(error, CACHET_INTERNAL, "libsodium cannot start");
    if (options->config == NULL || options->key == NULL || options->shares == NULL)
        return say(error, CACHET_BAD_REQUEST, "config, key and shares must be given");
    if (base_alloc(&c, 1, sizeof *c, &cause) != BASE_OK)
        return library_tell(error, &cause);
    c->options = *options;
    pthread_condattr_t clock;
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_cond_init(&c->changed, &clock);
    (void)pthread_condattr_destroy(&clock);
    enum base_status status = open_files(c, &cause);
    if (status == BASE_OK) {
        c->started = pthread_create(&c->thread, NULL, library_run, c) == 0;
        if (!c->started)
            status = base_fail(&cause, BASE_ERR_MEMORY, "cannot start the library's thread");
    }
    if (status != BASE_OK) {
        cachet_close(&c);
        return library_tell(error, &cause);
    }
    *ret = c;
    return CACHET_OK;
}

void cachet_close(struct cachet **client)
{
    struct cachet *c = client == NULL ? NULL : *client;
    if (c == NULL)
        return;
    (void)pthread_mutex_lock(&c->lock);
    c->closing = true;
    (void)pthread_cond_broadcast(&c->changed);
    (void)pthread_mutex_unlock(&c->lock);
    if (c->started)
        (void)pthread_join(c->thread, NULL);
    close_files(c);
    (void)pthread_cond_destroy(&c->changed);
    (void)pthread_mutex_destroy(&c->lock);
    base_free_secret(client);
}

bool library_wait_until(struct cachet *c, int64_t deadline)
{
    int64_t left = base_deadline_left(deadline, INT32_MAX);
    struct timespec end;
    if (left <= 0)
        return false;
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += left / 1000;
    end.tv_nsec += left % 1000 * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    (void)pthread_cond_timedwait(&c->changed, &c->lock, &end);
    return true;
}

enum cachet_code cachet_wait_ready(struct cachet *c, int timeout_ms, struct cachet_error *error)
{
    enum cachet_code code = CACHET_OK;
    int64_t deadline = base_deadline_after(timeout_ms);
    (void)pthread_mutex_lock(&c->lock);
    while (!c->state.ready && !c->gave_up && library_wait_until(c, deadline))
        ;
    if (!c->state.ready)
        code = say(error, c->gave_up ? c->last_failure : CACHET_NOT_READY, c->state.reason);
    (void)pthread_mutex_unlock(&c->lock);
    return code;
}

void cachet_describe(const struct cachet *client, struct cachet_model *ret)
{
    *ret = client->model;
}

void cachet_get_state(struct cachet *c, struct cachet_state *ret)
{
    (void)pthread_mutex_lock(&c->lock);
    *ret = c->state;
    (void)pthread_mutex_unlock(&c->lock);
}

/* --- text ---------------------------------------------------------------------------------------------------------- */

enum cachet_code cachet_tokenize(const struct cachet *c, const struct cachet_part *parts, size_t count, bool add_bos,
                                 int32_t **ret_tokens, size_t *ret_count, struct cachet_error *error)
{
    struct base_error cause = {0};
    struct eng_part *own = NULL;
    struct eng_tokens tokens = {0};
    if (c->tokenizer == NULL)
        return say(error, CACHET_UNSUPPORTED, "this model has no tokenizer: give token ids");
    enum base_status status = base_alloc(&own, count > 0 ? count : 1, sizeof *own, &cause);
    for (size_t i = 0; status == BASE_OK && i < count; i++)
        own[i] = (struct eng_part){parts[i].text, parts[i].size, parts[i].control};
    if (status == BASE_OK)
        status = eng_tokenizer_encode_parts(c->tokenizer, own, count, add_bos && eng_tokenizer_adds_bos(c->tokenizer),
                                            &tokens, &cause);
    for (size_t i = 0; status == BASE_OK && i < tokens.count; i++)
        if ((size_t)tokens.ids[i] >= c->client.share.shape.vocab)
            status = base_fail(&cause, BASE_ERR_MISMATCH,
                               "the tokenizer knows more tokens than the model's vocabulary of %zu: give the tokenizer of this model",
                               c->client.share.shape.vocab);
    base_free(&own);
    if (status != BASE_OK) {
        eng_tokens_finish(&tokens);
        return library_tell(error, &cause);
    }
    *ret_tokens = tokens.ids;
    *ret_count = tokens.count;
    return CACHET_OK;
}

void cachet_free_tokens(int32_t **tokens, size_t count)
{
    struct eng_tokens own = {*tokens, count};
    eng_tokens_finish(&own);
    *tokens = NULL;
}

/* --- requests ------------------------------------------------------------------------------------------------------ */

static enum base_status check_request(const struct cachet *c, const struct cachet_request *r, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t context = c->model.context;
    const struct client *client = &c->client;
    struct eng_decoder_form form = {
        .shape = &client->share.shape, .plan = &client->share.plan, .context = context, .chunk = client->chunk};
    TRY_THAT(r->token_count >= 1, error, BASE_ERR_ARGUMENT, "the prompt is empty: give at least one token");
    TRY_THAT(r->max_tokens >= 1, error, BASE_ERR_ARGUMENT, "max_tokens is 0: must be at least 1");
    TRY_THAT(r->token_count <= context && r->max_tokens <= context - r->token_count, error, BASE_ERR_ARGUMENT,
             "the prompt has %zu tokens and max_tokens is %zu: together at most %zu, the context; shorten one, or start the parties "
             "with a larger context",
             r->token_count, r->max_tokens, context);
    for (size_t i = 0; i < r->token_count; i++)
        TRY_THAT(r->tokens[i] >= 0 && (size_t)r->tokens[i] < c->model.vocabulary, error, BASE_ERR_ARGUMENT,
                 "token %zu of the prompt is outside the model's vocabulary of %zu", i, c->model.vocabulary);
    TRY_THAT(r->stop_count <= CACHET_STOPS, error, BASE_ERR_ARGUMENT, "%zu stop texts: at most %d", r->stop_count, CACHET_STOPS);
    for (size_t i = 0; i < r->stop_count; i++)
        TRY_THAT(r->stop[i][0] != '\0' && strlen(r->stop[i]) <= CACHET_STOP_BYTES, error, BASE_ERR_ARGUMENT,
                 "stop text %zu: must have 1 to %d bytes", i, CACHET_STOP_BYTES);
    TRY_THAT(!r->inside || (r->temperature == 0 && r->top_k == 0 && r->top_p == 1), error, BASE_ERR_ARGUMENT,
             "a token that is chosen inside is the likeliest: leave out temperature, top_k and top_p");
    TRY(party_config_policy(&client->config, &form.policy, &form.config, error));
    TRY(eng_decoder_allows(&form, r->token_count, r->max_tokens, error));
out:
    return status;
}

static enum base_status make_job(struct cachet *c, const struct cachet_request *r, struct cachet_job **ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct cachet_job *job = NULL;
    TRY(check_request(c, r, error));
    TRY(base_alloc(&job, 1, sizeof *job, error));
    *job = (struct cachet_job){.client = c,
                               .request = *r,
                               .last = r->tokens[r->token_count - 1],
                               .stop = {.stop = r->stop, .count = r->stop_count},
                               .submitted = base_clock_seconds()};
    TRY(eng_sampler_init(&job->sampler, (struct eng_sampling){r->temperature, r->top_k, r->top_p, r->seed}, c->model.vocabulary, error));
    randombytes_buf(job->id, sizeof job->id);
    (void)sodium_bin2hex(job->id_text, sizeof job->id_text, job->id, sizeof job->id);
    *ret = job;
    job = NULL;
out:
    base_free_secret(&job);
    return status;
}

static void free_job(struct cachet_job **job)
{
    eng_sampler_finish(&(*job)->sampler);
    stop_text_finish(&(*job)->stop);
    base_free_secret(job);
}

enum cachet_code cachet_submit(struct cachet *c, const struct cachet_request *request, struct cachet_job **ret, struct cachet_error *error)
{
    struct base_error cause = {0};
    struct cachet_job *job = NULL;
    enum cachet_code code = CACHET_OK;
    if (make_job(c, request, &job, &cause) != BASE_OK)
        return library_tell(error, &cause);
    (void)pthread_mutex_lock(&c->lock);
    if (c->closing)
        code = say(error, CACHET_CLOSED, "the client is being closed");
    else if (!c->state.ready)
        code = say(error, c->gave_up ? c->last_failure : CACHET_NOT_READY, c->state.reason);
    else if (c->state.running + c->state.waiting >= c->slots + c->options.most_waiting)
        code = say(error, CACHET_BUSY, "as many requests run and wait as may: ask again later");
    else {
        struct cachet_job **end = &c->queue;
        while (*end != NULL)
            end = &(*end)->next;
        *end = job;
        c->state.waiting++;
        (void)pthread_cond_broadcast(&c->changed);
    }
    (void)pthread_mutex_unlock(&c->lock);
    if (code != CACHET_OK)
        free_job(&job);
    else
        *ret = job;
    return code;
}

const char *cachet_job_id(const struct cachet_job *job)
{
    return job->id_text;
}

enum cachet_code cachet_wait(struct cachet_job *job, struct cachet_result *ret, struct cachet_error *error)
{
    struct cachet *c = job->client;
    enum cachet_code code;
    (void)pthread_mutex_lock(&c->lock);
    while (job->state != JOB_ENDED)
        (void)pthread_cond_wait(&c->changed, &c->lock);
    if (ret != NULL)
        *ret = job->result;
    code = job->error.code;
    if (code != CACHET_OK)
        (void)say(error, code, job->error.text);
    (void)pthread_mutex_unlock(&c->lock);
    return code;
}

bool cachet_wait_for(struct cachet_job *job, int timeout_ms)
{
    struct cachet *c = job->client;
    int64_t deadline = base_deadline_after(timeout_ms);
    (void)pthread_mutex_lock(&c->lock);
    while (job->state != JOB_ENDED && library_wait_until(c, deadline))
        ;
    bool ended = job->state == JOB_ENDED;
    (void)pthread_mutex_unlock(&c->lock);
    return ended;
}

void cachet_cancel(struct cachet_job *job)
{
    struct cachet *c = job->client;
    (void)pthread_mutex_lock(&c->lock);
    job->cancelled = true;
    (void)pthread_cond_broadcast(&c->changed);
    (void)pthread_mutex_unlock(&c->lock);
}

void cachet_release(struct cachet_job **job)
{
    if (job == NULL || *job == NULL)
        return;
    cachet_cancel(*job);
    (void)cachet_wait(*job, NULL, NULL);
    free_job(job);
}

enum cachet_code cachet_generate(struct cachet *client, const struct cachet_request *request, struct cachet_result *ret,
                                 struct cachet_error *error)
{
    struct cachet_job *job = NULL;
    enum cachet_code code = cachet_submit(client, request, &job, error);
    if (code != CACHET_OK)
        return code;
    code = cachet_wait(job, ret, error);
    cachet_release(&job);
    return code;
}
