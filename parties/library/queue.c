/* The queue: requests that wait, begin and end. For the library's thread. */
#include "parties/library/library.h"

bool library_closing(struct cachet *c)
{
    (void)pthread_mutex_lock(&c->lock);
    bool closing = c->closing;
    (void)pthread_mutex_unlock(&c->lock);
    return closing;
}

bool library_cancelled(struct cachet *c, struct cachet_job *job)
{
    (void)pthread_mutex_lock(&c->lock);
    bool cancelled = job->cancelled || c->closing;
    (void)pthread_mutex_unlock(&c->lock);
    return cancelled;
}

struct cachet_job *library_take(struct cachet *c, bool any, bool inside)
{
    (void)pthread_mutex_lock(&c->lock);
    struct cachet_job *job = c->queue;
    if (job != NULL && (any || job->request.inside == inside)) {
        c->queue = job->next;
        job->next = NULL;
        job->state = JOB_RUNS;
        c->state.waiting--;
        c->state.running++;
    } else {
        job = NULL;
    }
    (void)pthread_mutex_unlock(&c->lock);
    return job;
}

void library_end(struct cachet *c, struct cachet_job *job, enum cachet_finish finish, const struct base_error *error)
{
    void (*ended)(void *) = job->request.ended;
    void *context = job->request.context;
    (void)pthread_mutex_lock(&c->lock);
    bool waited = job->state == JOB_WAITS;
    *(waited ? &c->state.waiting : &c->state.running) -= 1;
    job->result.finish = finish;
    job->result.prompt_tokens = job->request.token_count;
    if (finish == CACHET_FINISH_FAILED)
        (void)library_tell(&job->error, error);
    uint64_t *count = finish == CACHET_FINISH_FAILED      ? &c->state.requests_failed
                      : finish == CACHET_FINISH_CANCELLED ? &c->state.requests_cancelled
                                                          : &c->state.requests_done;
    ++*count;
    c->state.new_tokens += job->result.new_tokens;
    c->state.prompt_tokens += job->rows_done;
    (void)pthread_mutex_unlock(&c->lock);
    if (ended != NULL)
        ended(context);
    if (finish == CACHET_FINISH_FAILED)
        library_log(c, 0, job, "failed: %s", error->text);
    else
        library_log(c, 2, job, "ended%s", finish == CACHET_FINISH_CANCELLED ? ": cancelled" : "");
    /* From here on its owner may free it. */
    (void)pthread_mutex_lock(&c->lock);
    job->state = JOB_ENDED;
    (void)pthread_cond_broadcast(&c->changed);
    (void)pthread_mutex_unlock(&c->lock);
}

/* Cancelled before they began. */
static void drop_cancelled(struct cachet *c)
{
    for (;;) {
        struct cachet_job *dropped = NULL;
        (void)pthread_mutex_lock(&c->lock);
        for (struct cachet_job **at = &c->queue; *at != NULL && dropped == NULL;)
            if ((*at)->cancelled) {
                dropped = *at;
                *at = dropped->next;
            } else {
                at = &(*at)->next;
            }
        (void)pthread_mutex_unlock(&c->lock);
        if (dropped == NULL)
            return;
        library_end(c, dropped, CACHET_FINISH_CANCELLED, NULL);
    }
}

/* The next one in the queue, or the first. Others only append to it: what waits stays until this thread takes it. */
static struct cachet_job *next_waiting(struct cachet *c, const struct cachet_job *job)
{
    (void)pthread_mutex_lock(&c->lock);
    struct cachet_job *next = job == NULL ? c->queue : job->next;
    (void)pthread_mutex_unlock(&c->lock);
    return next;
}

void library_tell_ahead(struct cachet_job *job, size_t ahead)
{
    struct cachet_progress progress = {.ahead = ahead, .rows = job->request.token_count, .layers = job->client->model.layers};
    if (job->told_ahead != ahead && job->request.progress != NULL)
        job->request.progress(job->request.context, &progress);
    job->told_ahead = ahead;
}

void library_look_at_queue(struct cachet *c)
{
    size_t before = 0;
    drop_cancelled(c);
    (void)pthread_mutex_lock(&c->lock);
    size_t free_slots = c->slots - c->state.running;
    (void)pthread_mutex_unlock(&c->lock);
    for (struct cachet_job *job = next_waiting(c, NULL); job != NULL; job = next_waiting(c, job))
        library_tell_ahead(job, ++before > free_slots ? before - free_slots : 0);
}
