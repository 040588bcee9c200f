#include "engine/local.h"

#include "base/memory.h"
#include "net/memory_link.h"

#include <pthread.h>

enum { PARTIES = 3, LINK_LIMIT = 64 << 20 };

struct seat {
    struct eng_session session;
    struct net_link *peer[PARTIES];
    struct net_link *client; /* the party's end */
    struct eng_session_links links;
    const struct eng_local_form *form;
    struct eng_served served;
    bool joining, started;
    enum base_status status;
    struct base_error error;
    pthread_t thread;
};

struct eng_local {
    struct eng_local_form form;
    struct seat seat[PARTIES];
    struct net_link *client[PARTIES];
};

static const char *const names[PARTIES] = {"P0", "P1", "P2"};

static void *run_seat(void *argument)
{
    struct seat *s = argument;
    s->status = s->joining ? eng_session_join(&s->session, &s->links, &s->error)
                           : eng_session_serve(&s->session, s->client, &s->served, &s->error);
    /* A session that has ended hangs up, so that nobody waits for it; one that never began says why. */
    bool ended = s->joining ? s->status != BASE_OK : !s->served.joined;
    for (int i = 0; ended && i < PARTIES; i++) {
        if (s->joining && s->peer[i] != NULL)
            net_link_abort(s->peer[i], &s->error);
        net_link_destroy(&s->peer[i]);
    }
    return NULL;
}

/* The cause is the failure that is not a closed link. */
static enum base_status gather(struct eng_local *local, struct base_error *error)
{
    for (int i = 0; i < PARTIES; i++)
        if (local->seat[i].started)
            (void)pthread_join(local->seat[i].thread, NULL);
    for (int closed = 0; closed < 2; closed++)
        for (int i = 0; i < PARTIES; i++) {
            struct seat *s = &local->seat[i];
            if (s->started && s->status != BASE_OK && (closed || s->status != BASE_ERR_CLOSED))
                return base_fail(error, s->status, "%s: %s", names[i], s->error.text);
        }
    return BASE_OK;
}

static enum base_status start_all(struct eng_local *local, bool joining, struct base_error *error)
{
    for (int i = 0; i < PARTIES; i++) {
        struct seat *s = &local->seat[i];
        s->joining = joining;
        s->status = BASE_OK;
        s->error = (struct base_error){0};
        s->started = pthread_create(&s->thread, NULL, run_seat, s) == 0;
        if (!s->started)
            return base_fail(error, BASE_ERR_MEMORY, "cannot start a thread for %s", names[i]);
    }
    return BASE_OK;
}

static enum base_status open_links(struct eng_local *local, struct base_error *error)
{
    enum base_status status = BASE_OK;
    uint16_t stream = 1;
    for (int i = 0; i < PARTIES; i++)
        for (int j = i + 1; j < PARTIES; j++)
            TRY(net_memory_pair_create(&local->seat[i].peer[j], &local->seat[j].peer[i], names[i], names[j],
                                       stream++, LINK_LIMIT, error));
    for (int i = 0; i < PARTIES; i++)
        for (int j = 0; j < PARTIES; j++)
            local->seat[i].links.to[j] = local->seat[i].peer[j];
out:
    return status;
}

enum base_status eng_local_create(struct eng_local **ret, const struct eng_local_form *form,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_local *local = NULL;
    TRY(base_alloc(&local, 1, sizeof *local, error));
    local->form = *form;
    for (int i = 0; i < PARTIES; i++) {
        struct eng_decoder_form own = form->form;
        own.weights = form->weights[i];
        TRY(eng_session_init(&local->seat[i].session, (enum mpc_role)i, own, form->slots == 0 ? 1 : form->slots, form->kern,
                             error));
        if (form->idle_ms != 0)
            local->seat[i].session.idle_ms = form->idle_ms;
    }
    TRY(open_links(local, error));
    status = start_all(local, true, error);
    if (status == BASE_OK)
        status = gather(local, error);
    else
        (void)gather(local, NULL);
    TRY(status);
    for (int i = 0; form->key1 != NULL && i < PARTIES; i++)
        eng_session_set_keys(&local->seat[i].session, form->key1, form->key2, form->key12);
    *ret = local;
    local = NULL;
out:
    eng_local_destroy(&local);
    return status;
}

void eng_local_destroy(struct eng_local **local)
{
    struct eng_local *l = *local;
    if (l == NULL)
        return;
    for (int i = 0; i < PARTIES; i++) {
        eng_session_finish(&l->seat[i].session);
        net_link_destroy(&l->seat[i].client);
        net_link_destroy(&l->client[i]);
        for (int j = 0; j < PARTIES; j++)
            net_link_destroy(&l->seat[i].peer[j]);
    }
    base_free(local);
}

enum base_status eng_local_start(struct eng_local *local, struct net_link *ret_links[3],
                                 struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (int i = 0; i < PARTIES; i++) {
        net_link_destroy(&local->seat[i].client);
        net_link_destroy(&local->client[i]);
        TRY(net_memory_pair_create(&local->client[i], &local->seat[i].client, "client", names[i],
                                   (uint16_t)(10 + i), LINK_LIMIT, error));
        ret_links[i] = local->client[i];
    }
    TRY(start_all(local, false, error));
out:
    return status;
}

enum base_status eng_local_wait(struct eng_local *local, struct eng_usage ret_usage[3],
                                struct base_error *error)
{
    enum base_status status = gather(local, error);
    for (int i = 0; i < PARTIES; i++)
        ret_usage[i] = local->seat[i].served.usage;
    return status;
}
