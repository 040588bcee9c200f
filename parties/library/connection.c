/* The library's thread: connects, keeps the links alive, and serves what waits. */
#include "base/clock.h"
#include "base/memory.h"
#include "parties/library/library.h"

#include <stdio.h>
#include <string.h>

enum { PING_BYTES = 8, PING_SECONDS = 5, AGAIN_MS = 500, AGAIN_MOST_MS = 8000 };

static void set_ready(struct cachet *c, bool ready, const struct base_error *reason)
{
    (void)pthread_mutex_lock(&c->lock);
    if (!ready) {
        c->gave_up = c->options.once;
        c->last_failure = (enum cachet_code)base_status_exit_code(reason->code);
    }
    c->state.connections += ready && !c->state.ready;
    c->state.ready = ready;
    for (int i = 0; i < 3; i++)
        c->state.party[i].connected = (ready && i >= party_config_first(c->client.config.mode)) || (c->client.link[i] != NULL && !net_link_lost(c->client.link[i]));
    (void)snprintf(c->state.reason, sizeof c->state.reason, "%s", ready ? "" : reason->text);
    (void)pthread_cond_broadcast(&c->changed);
    (void)pthread_mutex_unlock(&c->lock);
}

/* Requests that cannot be served now. */
static void fail_waiting(struct cachet *c, const struct base_error *error)
{
    for (;;) {
        struct cachet_job *job = library_take(c, true, false);
        if (job == NULL)
            return;
        library_end(c, job, library_closing(c) ? CACHET_FINISH_CANCELLED : CACHET_FINISH_FAILED, error);
    }
}

static void drop_links(struct cachet *c, const char *reason)
{
    struct base_error cause = {0};
    (void)base_fail(&cause, BASE_ERR_CLOSED, "%s", reason);
    node_tell_all(c->client.link, &cause);
    for (int i = 0; i < 3; i++)
        net_link_destroy(&c->client.link[i]);
}

static bool connect_all(struct cachet *c, int64_t *pause_ms)
{
    struct base_error error = {0};
    if (client_connect(&c->client, &error) == BASE_OK) {
        set_ready(c, true, NULL);
        library_log(c, 2, NULL, "connected to all parties");
        *pause_ms = AGAIN_MS;
        return true;
    }
    set_ready(c, false, &error);
    drop_links(c, error.text);
    if (!library_closing(c))
        library_log(c, 1, NULL, "not connected: %s", error.text);
    fail_waiting(c, &error);
    *pause_ms = 2 * *pause_ms < AGAIN_MOST_MS ? 2 * *pause_ms : AGAIN_MOST_MS;
    return false;
}

static enum base_status ping_all(struct cachet *c, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (int i = party_config_first(c->client.config.mode); i < 3; i++) {
        double seconds;
        TRY(eng_ping(c->client.link[i], PING_BYTES, &seconds, error));
        (void)pthread_mutex_lock(&c->lock);
        c->state.party[i].round_trip_seconds = seconds;
        (void)pthread_mutex_unlock(&c->lock);
    }
out:
    return status;
}

/* Until something waits, or `milliseconds` have gone. */
static void rest(struct cachet *c, int64_t milliseconds, bool for_requests)
{
    int64_t deadline = base_deadline_after(milliseconds);
    (void)pthread_mutex_lock(&c->lock);
    while (!c->closing && !(for_requests && c->queue != NULL) && library_wait_until(c, deadline))
        ;
    (void)pthread_mutex_unlock(&c->lock);
}

static bool waits(struct cachet *c)
{
    (void)pthread_mutex_lock(&c->lock);
    bool any = c->queue != NULL;
    (void)pthread_mutex_unlock(&c->lock);
    return any;
}

void *library_run(void *client)
{
    struct cachet *c = client;
    struct base_error end = {0}; /* what requests hear that still wait then */
    int64_t pause_ms = AGAIN_MS;
    while (!library_closing(c) && !c->gave_up) {
        struct base_error error = {0};
        if (!connect_all(c, &pause_ms)) {
            if (!c->options.once)
                rest(c, pause_ms, false);
            continue;
        }
        enum base_status status = BASE_OK;
        while (status == BASE_OK && !library_closing(c)) {
            status = ping_all(c, &error);
            if (status == BASE_OK && !waits(c))
                rest(c, PING_SECONDS * 1000, true);
            library_look_at_queue(c);
            if (status == BASE_OK && waits(c))
                status = library_serve(c, &error);
        }
        if (status == BASE_OK || library_closing(c))
            break;
        set_ready(c, false, &error);
        library_log(c, 1, NULL, "the parties are gone: %s", error.text);
        drop_links(c, error.text);
        if (c->gave_up)
            end = error;
    }
    if (end.code == BASE_OK)
        (void)base_fail(&end, BASE_ERR_CLOSED, "the client was closed");
    if (!c->gave_up)
        set_ready(c, false, &end);
    fail_waiting(c, &end);
    drop_links(c, end.text);
    return NULL;
}
