/* A stand-in for the client library, so that the gateway's HTTP is tested fast and always the same way: a byte is a
 * token, 256 begins a prompt, and a prompt may hold orders: {tokens=N}    the answer has N tokens (else 8) {delay=MS}
 * time of a token {prompt=MS}   time of the prompt                      {fail=CODE}  the request fails with that
 * cachet_code ... {at=N} after N tokens {stall=MS}    the end of a cancelled request takes so long {size=N}      bytes
 * of a token's text (else "wN ")    {echo}       the answer is the prompt, byte for byte {stop}        ends as by a
 * stop text, else by its length FAKE_NOT_READY=MS in the environment: the parties are connected only after that time.
 * FAKE_RUNNING: how many run at once (4). */
#include "parties/cachet.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 4096, MOST_JOBS = 4096, LAYERS = 30, TICK_MS = 1 };

struct cachet_job {
    struct cachet *client;
    struct cachet_request request;
    char id[17];
    size_t tokens, size, fail, at, made;
    double delay, prompt, stall, asked, started, next;
    bool running, cancelled, ended, echo, stop;
    double cancelled_at;
    struct cachet_result result;
    struct cachet_error error;
};
struct cachet {
    struct cachet_options options;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct cachet_job *jobs[MOST_JOBS]; /* in the order of arrival */
    size_t count, running, waiting, last_id;
    double opened, ready_after;
    bool closing;
    struct cachet_state state;
};

static void say(struct cachet *client, const char *request, const char *text)
{
    if (client->options.log != NULL)
        client->options.log(client->options.log_context, 2, request, text);
}

static enum cachet_code fail(struct cachet_error *error, enum cachet_code code, const char *text)
{
    error->code = code;
    (void)snprintf(error->text, sizeof error->text, "%s", text);
    return code;
}

static bool order(const char *prompt, const char *name, double *ret)
{
    char key[32];
    (void)snprintf(key, sizeof key, "{%s", name);
    const char *found = strstr(prompt, key);
    if (found == NULL)
        return false;
    if (found[strlen(key)] == '=')
        *ret = strtod(found + strlen(key) + 1, NULL);
    return true;
}

static void read_orders(struct cachet_job *job)
{
    char *prompt = calloc(job->request.token_count + 1, 1);
    double value = 0;
    for (size_t i = 0, n = 0; i < job->request.token_count; i++)
        if (job->request.tokens[i] > 0 && job->request.tokens[i] < 256)
            prompt[n++] = (char)job->request.tokens[i];
    job->tokens = order(prompt, "tokens", &value) ? (size_t)value : 8;
    job->delay = order(prompt, "delay", &value) ? value / 1e3 : 0.001;
    job->prompt = order(prompt, "prompt", &value) ? value / 1e3 : 0;
    job->stall = order(prompt, "stall", &value) ? value / 1e3 : 0;
    job->fail = order(prompt, "fail", &value) ? (size_t)value : 0;
    job->at = order(prompt, "at", &value) ? (size_t)value : 0;
    job->size = order(prompt, "size", &value) ? (size_t)value : 0;
    job->echo = order(prompt, "echo", &value);
    job->stop = order(prompt, "stop", &value);
    if (job->echo)
        job->tokens = job->request.token_count;
    if (job->tokens > job->request.max_tokens) {
        job->tokens = job->request.max_tokens;
        job->stop = false;
    }
    free(prompt);
}

static void progress(struct cachet_job *job, size_t ahead, double now)
{
    double share = job->running && job->prompt > 0 ? (now - job->started) / job->prompt : 0;
    struct cachet_progress p = {.ahead = ahead,
                                .rows = job->request.token_count,
                                .rows_done = (size_t)(share * (double)job->request.token_count),
                                .layer = (size_t)(share * LAYERS * 4) % LAYERS,
                                .layers = LAYERS,
                                .seconds = job->running ? now - job->started : 0,
                                .expected = job->prompt};
    if (job->request.progress != NULL)
        job->request.progress(job->request.context, &p);
}

static void end(struct cachet_job *job, enum cachet_finish finish)
{
    struct cachet *client = job->client;
    job->result.finish = finish;
    job->result.prompt_tokens = job->request.token_count;
    job->result.new_tokens = job->made;
    job->result.waited_seconds = job->started - job->asked;
    job->result.prompt_seconds = job->prompt;
    job->result.decode_seconds = job->delay * (double)job->made;
    client->state.requests_done += finish <= CACHET_FINISH_LENGTH;
    client->state.requests_cancelled += finish == CACHET_FINISH_CANCELLED;
    client->state.requests_failed += finish == CACHET_FINISH_FAILED;
    client->state.prompt_tokens += job->request.token_count;
    if (finish == CACHET_FINISH_CANCELLED)
        say(client, job->id, "fake: cancelled");
    if (job->request.ended != NULL)
        job->request.ended(job->request.context);
    job->ended = true;
    client->running -= job->running;
    client->waiting -= !job->running;
}

/* One token; the text of echoes is the prompt's bytes, of others "wN " or letters. */
static bool give(struct cachet_job *job, double now)
{
    char text[8192];
    size_t size;
    if (job->echo) {
        int32_t id = job->request.tokens[job->made];
        size = id < 256;
        text[0] = (char)id;
    } else if (job->size > 0) {
        size = job->size < sizeof text ? job->size : sizeof text;
        memset(text, 'x', size);
    } else
        size = (size_t)snprintf(text, sizeof text, "w%zu ", job->made);
    struct cachet_token token = {.index = job->made,
                                 .id = 1,
                                 .text = text,
                                 .size = size,
                                 .seconds = job->made == 0 ? now - job->started : job->delay,
                                 .shared_with = job->client->running - 1,
                                 .rounds = 483,
                                 .online_bytes = 6200000 + 1000 * job->made,
                                 .dealt_bytes = 15600000,
                                 .client_bytes = 200000};
    struct cachet_state *state = &job->client->state;
    job->made++;
    job->result.rounds += token.rounds;
    job->result.online_bytes += token.online_bytes;
    job->result.dealt_bytes += token.dealt_bytes;
    job->result.client_bytes += token.client_bytes;
    state->new_tokens++;
    for (int p = 0; p < 3; p++) {
        state->party[p].rounds += p > 0 ? token.rounds : 0;
        state->party[p].online_bytes += p > 0 ? token.online_bytes / 2 : 0;
        state->party[p].dealt_bytes += p == 0 ? token.dealt_bytes : 0;
        state->party[p].sent_bytes += 1000;
        state->party[p].received_bytes += 50000;
    }
    return job->request.token == NULL || job->request.token(job->request.context, &token);
}

static void step(struct cachet_job *job, double now)
{
    if (job->cancelled) {
        if (now >= job->cancelled_at + job->stall)
            end(job, CACHET_FINISH_CANCELLED);
    } else if (job->fail != 0 && job->made >= job->at && now >= job->started + job->prompt) {
        (void)fail(&job->error, (enum cachet_code)job->fail, "P1: a failure that was ordered");
        end(job, CACHET_FINISH_FAILED);
    } else if (now < job->started + job->prompt) {
        progress(job, 0, now);
    } else if (job->made >= job->tokens) {
        end(job, job->stop ? CACHET_FINISH_STOP : CACHET_FINISH_LENGTH);
    } else if (now >= job->next) {
        job->next = now + job->delay;
        if (!give(job, now) && !job->cancelled) {
            job->cancelled = true;
            job->cancelled_at = now;
        }
    }
}

static void tick(struct cachet *client)
{
    double now = base_clock_seconds();
    size_t ahead = 0;
    client->state.connections = now >= client->opened + client->ready_after;
    for (size_t i = 0; i < client->count; i++) {
        struct cachet_job *job = client->jobs[i];
        if (job->ended)
            continue;
        if (!job->running && !job->cancelled && client->running < client->options.most_running) {
            job->running = true;
            job->started = now;
            client->running++;
            client->waiting--;
        }
        if (job->running || job->cancelled)
            step(job, now);
        else
            progress(job, ++ahead, now);
    }
    (void)pthread_cond_broadcast(&client->changed);
}

static void *run(void *context)
{
    struct cachet *client = context;
    (void)pthread_mutex_lock(&client->mutex);
    while (!client->closing) {
        tick(client);
        (void)pthread_mutex_unlock(&client->mutex);
        base_sleep_ms(TICK_MS);
        (void)pthread_mutex_lock(&client->mutex);
    }
    (void)pthread_mutex_unlock(&client->mutex);
    return NULL;
}

enum cachet_code cachet_open(struct cachet **ret, const struct cachet_options *options, struct cachet_error *error)
{
    const char *late = getenv("FAKE_NOT_READY"), *running = getenv("FAKE_RUNNING");
    struct cachet *client = calloc(1, sizeof *client);
    if (client == NULL)
        return fail(error, CACHET_NO_MEMORY, "no memory");
    client->options = *options;
    if (client->options.most_running == 0)
        client->options.most_running = running != NULL ? (size_t)atoi(running) : 4;
    client->opened = base_clock_seconds();
    client->ready_after = late != NULL ? atof(late) / 1e3 : 0;
    for (int p = 0; p < 3; p++) {
        (void)snprintf(client->state.party[p].name, sizeof client->state.party[p].name, "P%d", p);
        client->state.party[p].round_trip_seconds = 0.0004 * (p + 1);
        client->state.party[p].steps_ahead = p == 0 ? 12 : 0;
    }
    (void)pthread_mutex_init(&client->mutex, NULL);
    (void)pthread_cond_init(&client->changed, NULL);
    (void)pthread_create(&client->thread, NULL, run, client);
    *ret = client;
    return CACHET_OK;
}

void cachet_close(struct cachet **client)
{
    struct cachet *c = *client;
    if (c == NULL)
        return;
    (void)pthread_mutex_lock(&c->mutex);
    c->closing = true;
    (void)pthread_mutex_unlock(&c->mutex);
    (void)pthread_join(c->thread, NULL);
    if (c->count != 0)
        (void)fprintf(stderr, "fake: %zu jobs were not released\n", c->count);
    (void)pthread_cond_destroy(&c->changed);
    (void)pthread_mutex_destroy(&c->mutex);
    free(c);
    *client = NULL;
}

void cachet_describe(const struct cachet *client, struct cachet_model *ret)
{
    (void)client;
    *ret = (struct cachet_model){.name = "fake-model",
                                 .architecture = "llama",
                                 .digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                                 .plan = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210",
                                 .policy = "refresh:budget=25",
                                 .context = CONTEXT,
                                 .vocabulary = 257,
                                 .layers = LAYERS,
                                 .chunk = 56,
                                 .slots = 4,
                                 .has_text = true};
}

void cachet_get_state(struct cachet *client, struct cachet_state *ret)
{
    (void)pthread_mutex_lock(&client->mutex);
    client->state.ready = base_clock_seconds() >= client->opened + client->ready_after;
    (void)snprintf(client->state.reason, sizeof client->state.reason, "%s",
                   client->state.ready ? "" : "P1 is not connected yet");
    client->state.running = client->running;
    client->state.waiting = client->waiting;
    client->state.most_running = client->options.most_running;
    client->state.most_waiting = client->options.most_waiting;
    for (int p = 0; p < 3; p++)
        client->state.party[p].connected = client->state.ready || p != 1;
    *ret = client->state;
    (void)pthread_mutex_unlock(&client->mutex);
}

enum cachet_code cachet_tokenize(const struct cachet *client, const struct cachet_part *parts, size_t count,
                                 bool add_bos, int32_t **ret_tokens, size_t *ret_count, struct cachet_error *error)
{
    (void)client;
    size_t size = add_bos, n = 0;
    for (size_t i = 0; i < count; i++)
        size += parts[i].size;
    *ret_tokens = calloc(size + 1, sizeof **ret_tokens);
    if (*ret_tokens == NULL)
        return fail(error, CACHET_NO_MEMORY, "no memory");
    if (add_bos)
        (*ret_tokens)[n++] = 256;
    for (size_t i = 0; i < count; i++)
        for (size_t b = 0; b < parts[i].size; b++)
            (*ret_tokens)[n++] = (unsigned char)parts[i].text[b];
    *ret_count = n;
    return CACHET_OK;
}

void cachet_free_tokens(int32_t **tokens, size_t count)
{
    (void)count;
    free(*tokens);
    *tokens = NULL;
}

enum cachet_code cachet_submit(struct cachet *client, const struct cachet_request *request, struct cachet_job **ret,
                               struct cachet_error *error)
{
    enum cachet_code code = CACHET_OK;
    struct cachet_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return fail(error, CACHET_NO_MEMORY, "no memory");
    (void)pthread_mutex_lock(&client->mutex);
    if (base_clock_seconds() < client->opened + client->ready_after)
        code = fail(error, CACHET_NOT_READY, "P1 is not connected yet");
    else if (client->count >= MOST_JOBS ||
             client->running + client->waiting >= client->options.most_running + client->options.most_waiting)
        code = fail(error, CACHET_BUSY, "as many requests wait as may; ask again later");
    if (code == CACHET_OK) {
        job->client = client;
        job->request = *request;
        job->asked = base_clock_seconds();
        (void)snprintf(job->id, sizeof job->id, "%016zx", ++client->last_id);
        read_orders(job);
        client->jobs[client->count++] = job;
        client->waiting++;
        *ret = job;
    } else
        free(job);
    (void)pthread_mutex_unlock(&client->mutex);
    return code;
}

const char *cachet_job_id(const struct cachet_job *job)
{
    return job->id;
}

enum cachet_code cachet_wait(struct cachet_job *job, struct cachet_result *ret, struct cachet_error *error)
{
    struct cachet *client = job->client;
    (void)pthread_mutex_lock(&client->mutex);
    while (!job->ended)
        (void)pthread_cond_wait(&client->changed, &client->mutex);
    *ret = job->result;
    if (job->result.finish == CACHET_FINISH_FAILED)
        *error = job->error;
    (void)pthread_mutex_unlock(&client->mutex);
    return job->result.finish == CACHET_FINISH_FAILED ? job->error.code : CACHET_OK;
}

void cachet_cancel(struct cachet_job *job)
{
    (void)pthread_mutex_lock(&job->client->mutex);
    if (!job->cancelled) {
        job->cancelled = true;
        job->cancelled_at = base_clock_seconds();
        if (!job->ended)
            say(job->client, job->id, "fake: cancel was asked for");
    }
    (void)pthread_mutex_unlock(&job->client->mutex);
}

void cachet_release(struct cachet_job **job)
{
    struct cachet_result result;
    struct cachet_error error;
    struct cachet *client;
    if (*job == NULL)
        return;
    client = (*job)->client;
    cachet_cancel(*job);
    (void)cachet_wait(*job, &result, &error);
    (void)pthread_mutex_lock(&client->mutex);
    for (size_t i = 0; i < client->count; i++)
        if (client->jobs[i] == *job) {
            memmove(client->jobs + i, client->jobs + i + 1, (client->count - i - 1) * sizeof *client->jobs);
            client->count--;
            break;
        }
    free(*job);
    *job = NULL;
    (void)pthread_mutex_unlock(&client->mutex);
}
