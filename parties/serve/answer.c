#include "parties/serve/answer.h"

#include "base/clock.h"
#include "base/memory.h"

#include <poll.h>
#include <string.h>
#include <time.h>

enum base_status serve_answer_open(struct serve_answer *ret, double patience, struct base_error *error)
{
    enum base_status status = BASE_OK;
    pthread_condattr_t monotonic;
    TRY(base_alloc(&ret->queue, 1, SERVE_QUEUE_BYTES, error));
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&ret->mutex, NULL);
    (void)pthread_cond_init(&ret->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    ret->patience = patience;
out:
    return status;
}

void serve_answer_close(struct serve_answer *answer)
{
    if (answer->queue == NULL)
        return;
    base_free_secret(&answer->queue);
    base_wipe(answer->text, sizeof answer->text);
    (void)pthread_cond_destroy(&answer->changed);
    (void)pthread_mutex_destroy(&answer->mutex);
}

static void take_progress(void *context, const struct cachet_progress *progress)
{
    struct serve_answer *answer = context;
    (void)pthread_mutex_lock(&answer->mutex);
    answer->progress = *progress;
    answer->has_progress = true;
    (void)pthread_mutex_unlock(&answer->mutex);
}

/* Puts one record behind the others; false: there is no room. */
static bool queue_token(struct serve_answer *answer, const struct cachet_token *token)
{
    size_t used = answer->end - answer->begin, size = sizeof *token + token->size;
    if (token->size > SERVE_MOST_TEXT || size > SERVE_QUEUE_BYTES - used)
        return false;
    if (size > SERVE_QUEUE_BYTES - answer->end) {
        memmove(answer->queue, answer->queue + answer->begin, used);
        answer->begin = 0;
        answer->end = used;
    }
    memcpy(answer->queue + answer->end, token, sizeof *token);
    if (token->size > 0)
        memcpy(answer->queue + answer->end + sizeof *token, token->text, token->size);
    answer->end += size;
    return true;
}

static bool take_token(void *context, const struct cachet_token *token)
{
    struct serve_answer *answer = context;
    (void)pthread_mutex_lock(&answer->mutex);
    double now = base_clock_seconds();
    if (answer->begin == answer->end)
        answer->last_taken = now;
    if (now - answer->last_taken > answer->patience || !queue_token(answer, token))
        answer->too_slow = true;
    bool go_on = !answer->too_slow;
    (void)pthread_cond_signal(&answer->changed);
    (void)pthread_mutex_unlock(&answer->mutex);
    return go_on;
}

static void take_end(void *context)
{
    struct serve_answer *answer = context;
    (void)pthread_mutex_lock(&answer->mutex);
    answer->ended = true;
    (void)pthread_cond_signal(&answer->changed);
    (void)pthread_mutex_unlock(&answer->mutex);
}

void serve_answer_attach(struct serve_answer *answer, struct cachet_request *request)
{
    request->progress = take_progress;
    request->token = take_token;
    request->ended = take_end;
    request->context = answer;
}

static void dequeue(struct serve_answer *answer, struct cachet_token *ret_token)
{
    memcpy(ret_token, answer->queue + answer->begin, sizeof *ret_token);
    if (ret_token->size > 0)
        memcpy(answer->text, answer->queue + answer->begin + sizeof *ret_token, ret_token->size);
    ret_token->text = answer->text;
    base_wipe(answer->queue + answer->begin, sizeof *ret_token + ret_token->size);
    answer->begin += sizeof *ret_token + ret_token->size;
    if (answer->begin == answer->end)
        answer->begin = answer->end = 0;
    answer->last_taken = base_clock_seconds();
}

/* Looks at most every SERVE_HANGUP_MS, however often tokens come. */
static bool hung_up(struct serve_answer *answer, int socket)
{
    if (base_clock_ms() < answer->next_look)
        return false;
    answer->next_look = base_clock_ms() + SERVE_HANGUP_MS;
    struct pollfd fd = {.fd = socket, .events = POLLRDHUP};
    return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

static void wait_a_little(struct serve_answer *answer, int milliseconds)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)milliseconds * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&answer->changed, &answer->mutex, &until);
}

enum serve_event serve_answer_next(struct serve_answer *answer, int socket, const atomic_bool *stopping, int quiet_ms,
                                   struct cachet_token *ret_token)
{
    int64_t deadline = base_deadline_after(quiet_ms);
    enum serve_event event = SERVE_QUIET;
    (void)pthread_mutex_lock(&answer->mutex);
    for (;;) {
        int left = base_deadline_left(deadline, SERVE_HANGUP_MS);
        if (answer->too_slow)
            event = SERVE_TOO_SLOW;
        else if (hung_up(answer, socket))
            event = SERVE_HUNG_UP;
        else if (answer->begin != answer->end)
            event = SERVE_TOKEN;
        else if (answer->ended)
            event = SERVE_ENDED;
        else if (atomic_load(stopping))
            event = SERVE_STOPPING;
        else if (left > 0) {
            wait_a_little(answer, left);
            continue;
        }
        break;
    }
    if (event == SERVE_TOKEN)
        dequeue(answer, ret_token);
    (void)pthread_mutex_unlock(&answer->mutex);
    return event;
}

bool serve_answer_progress(struct serve_answer *answer, struct cachet_progress *ret)
{
    (void)pthread_mutex_lock(&answer->mutex);
    bool known = answer->has_progress;
    *ret = answer->progress;
    (void)pthread_mutex_unlock(&answer->mutex);
    return known;
}
