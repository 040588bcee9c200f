#include "parties/node.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "kernels/threads.h"
#include "kernels/timed.h"
#include "parties/command.h"
#include "parties/slot_times.h"
#include "parties/version.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { POLL_MS = 300, SECOND_MS = 1000, TURN_MS = 400, UNMET_MS = 2000, PARTING_MS = 100 };

/* Asked by every wait of a party: whether to stop. What waits is alive, so the manager hears that, too. */
static int asked_to_stop(void *context)
{
    struct node *n = context;
    notify_watchdog_feed(&n->watchdog, &n->log);
    return command_stopped(NULL);
}

/* --- opening ------------------------------------------------------------------------------------------- */

static enum base_status find_index(struct node *n, const char *config_path, struct base_error *error)
{
    char text[NET_KEY_TEXT];
    struct config_owner owner = party_config_find_key(&n->config, n->key.public_key);
    net_key_write_text(n->key.public_key, text);
    if (owner.who != CONFIG_PARTY)
        return base_fail(error, BASE_ERR_MISMATCH,
                         "%s lists no party with this key (public part %s): paste the line that keygen "
                         "printed, or use the other key file",
                         config_path, text);
    n->index = (int)owner.index;
    return BASE_OK;
}

/* A slot of a run under way opens or closes. */
static void log_slot(void *context, const struct eng_order *order)
{
    const struct node *n = context;
    char id[2 * ENG_REQUEST_ID + 1];
    (void)sodium_bin2hex(id, sizeof id, order->id, sizeof order->id);
    if (order->kind == ENG_ORDER_OPEN)
        base_log_write(&n->log, BASE_LOG_INFO, id, "begins: %u prompt tokens, %u new ones at most",
                       order->prompt_tokens, order->new_tokens);
    else
        base_log_write(&n->log, BASE_LOG_INFO, id, "has ended");
}

/* Mode two-party: encrypted weights lie beside the shares that they belong to. */
static enum base_status keep_weights(struct node *n, const char *folder, struct base_error *error)
{
    uint8_t digest[PAIR_STORE_DIGEST];
    char text[sizeof n->share.set + sizeof n->share.model + sizeof n->share.plan_digest + 2];
    int size = snprintf(text, sizeof text, "%s %s %s", n->share.set, n->share.model, n->share.plan_digest);
    (void)crypto_generichash(digest, sizeof digest, (const uint8_t *)text, (size_t)size, NULL, 0);
    n->two.log = &n->log;
    return party_two_keep(&n->two, n->index, folder, digest, error);
}

static enum base_status open_spool(struct node *n, const struct node_options *options, struct base_error *error)
{
    const struct party_two_spool form = {.directory = options->spool,
                                         .log = &n->log,
                                         .party = n->index,
                                         .key = &n->key,
                                         .fields = n->identity.fields,
                                         .field_count = n->identity.field_count,
                                         .most = n->config.spool.most};
    return party_two_open_spool(&n->two, &form, error);
}

static enum base_status open_engine(struct node *n, const struct node_options *options,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct kv_policy *policy;
    struct kv_config config;
    struct base_progress progress = {0};
    uint8_t gates[32];
    base_progress_start(&progress, "checking shares", 0);
    status = eng_share_open(&n->share, options->shares, n->index, &progress, error);
    base_progress_finish(&progress);
    TRY(status);
    TRY(node_check_share(&n->config, options->config, &n->share, options->shares, error));
    TRY(party_config_policy(&n->config, &policy, &config, error));
    TRY(node_set_mode(&n->config, options->config, &n->share, error));
    TRY(eng_gates_init(&n->gates, &n->share.shape, &n->share.plan, error));
    eng_gates_digest(&n->gates, gates);
    struct eng_decoder_form form = {
        .shape = &n->share.shape,
        .plan = &n->share.plan,
        .weights = &n->share.weights,
        .gates = &n->gates,
        .policy = policy,
        .config = config,
        .context = n->config.limits.context};
    unsigned levels = options->kernels == NULL ? ~0u : kern_mask_up_to(options->kernels);
    TRY_THAT(levels != 0, error, BASE_ERR_ARGUMENT, "--kernels: \"%s\" is none of scalar, avx2, vaes and avx512", options->kernels);
    const struct kern_table *kern = kern_table_select(levels);
    kern_set_threads((int)options->threads);
    TRY(party_device_open(&n->device, &options->device, kern, &n->log, error));
    kern = party_device_table(&n->device, kern);
    n->time_kernels = options->time_kernels;
    if (options->time_kernels)
        kern = kern_table_timed(kern);
    TRY(eng_session_init(&n->session, (enum mpc_role)n->index, form, n->config.limits.slots, kern,
                         error));
    if (n->config.mode == CONFIG_TWO_PARTY) {
        TRY(party_two_init(&n->two, kern, error));
        /* A service may not write its shares. */
        bool beside = options->spool == NULL || access(options->shares, W_OK) == 0;
        TRY(keep_weights(n, beside ? options->shares : options->spool, error));
        n->two.refuses = n->config.spool.dry == CONFIG_DRY_REFUSE;
        TRY(eng_session_set_maker(&n->session, &n->two.of_session, error));
    }
    TRY(party_device_place(&n->device, &n->session, error));
    n->session.cancelled = asked_to_stop;
    n->session.cancel_context = n;
    n->session.idle_ms = (int64_t)n->config.limits.step_seconds * SECOND_MS;
    n->session.told = log_slot;
    n->session.told_context = n;
    n->session.made_up_rows = options->made_up_rows;
    node_identify(&n->identity, &n->config, &n->share, n->session.slot[0].decoder.form.chunk, gates);
    TRY_THAT(options->spool == NULL || n->config.mode == CONFIG_TWO_PARTY, error, BASE_ERR_ARGUMENT,
             "--spool: %s says mode %s, and material is made ahead of use in mode two-party alone: leave it out", options->config,
             party_config_mode_name(n->config.mode));
    if (options->spool != NULL)
        TRY(open_spool(n, options, error));
out:
    return status;
}

static void allow_party(struct node *n, int offset, int party)
{
    struct net_peer_key *key = &n->allowed[offset][0];
    (void)snprintf(key->name, sizeof key->name, "%s", party_config_name(&n->config, (size_t)party));
    memcpy(key->public_key, n->config.parties[party].key, sizeof key->public_key);
}

/* P0 is connected from, never to; P1 listens for P0, P2 for both. Everybody listens for clients. */
static enum base_status listen_all(struct node *n, const char *bind, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct config_party *own = &n->config.parties[n->index];
    for (size_t i = 0; i < n->config.client_count; i++) {
        struct net_peer_key *key = &n->allowed[NET_PORT_CLIENTS][i];
        (void)snprintf(key->name, sizeof key->name, "client %.20s", n->config.clients[i].name);
        memcpy(key->public_key, n->config.clients[i].key, sizeof key->public_key);
    }
    int first = party_config_first(n->config.mode);
    for (int from = first; from < n->index; from++)
        allow_party(n, NET_PORT_FROM_P0 + from, from);
    for (int offset = 0; offset <= n->index; offset++) {
        char name[64];
        if (offset > 0 && offset <= first)
            continue;
        (void)snprintf(name, sizeof name, "%s for %s", n->names[n->index],
                       offset == 0 ? "clients" : n->names[offset - 1]);
        struct net_listen_config config = {.name = name,
                                           .host = bind != NULL ? bind : own->host,
                                           .port = (uint16_t)(own->port + offset),
                                           .peers = offset == 0 ? NET_PEER_CLIENT : NET_PEER_PARTY,
                                           .allowed = n->allowed[offset],
                                           .allowed_count = offset == 0 ? n->config.client_count : 1};
        TRY(net_listen(n->context, &config, &n->listener[offset], error));
    }
out:
    return status;
}

enum base_status node_open(struct node *ret, const struct node_options *options, struct base_error *error)
{
    enum base_status status = BASE_OK;
    *ret = (struct node){.log = options->log};
    notify_watchdog_start(&ret->watchdog);
    TRY(party_config_read(&ret->config, options->config, error));
    TRY(net_key_load(&ret->key, options->key, error));
    TRY(find_index(ret, options->config, error));
    for (int i = 0; i < 3; i++)
        (void)snprintf(ret->names[i], sizeof ret->names[i], "%s", party_config_name(&ret->config, (size_t)i));
    (void)snprintf(ret->log.who, sizeof ret->log.who, "%s", ret->names[ret->index]);
    TRY(open_engine(ret, options, error));
    struct net_context_config context = {.secret_key = ret->key.secret,
                                         .limit_bytes = (size_t)ret->config.limits.ahead_mib << 20};
    TRY(net_context_create(&ret->context, &context, error));
    TRY(listen_all(ret, options->bind, error));
    return BASE_OK;
out:
    node_close(ret);
    return status;
}

static void drop_links(struct node *n)
{
    for (int i = 0; i < 3; i++)
        net_link_destroy(&n->link[i]);
}

void node_close(struct node *n)
{
    drop_links(n);
    for (int i = 0; i < 3; i++)
        net_listener_destroy(&n->listener[i]);
    net_context_destroy(&n->context);
    party_device_release(&n->device);
    eng_session_finish(&n->session);
    party_two_finish(&n->two);
    eng_gates_finish(&n->gates);
    eng_share_close(&n->share);
    party_device_close(&n->device);
    net_key_finish(&n->key);
    party_config_finish(&n->config);
}

/* --- the other parties --------------------------------------------------------------------------------- */

static int64_t connect_ms(const struct node *n)
{
    return (int64_t)n->config.limits.connect_seconds * SECOND_MS;
}

static enum base_status connect_to(struct node *n, int peer, const struct net_wait *wait,
                                   struct base_error *error)
{
    struct net_endpoint_config endpoint = {
        .name = n->names[peer],
        .host = n->config.parties[peer].host,
        .port = (uint16_t)(n->config.parties[peer].port + NET_PORT_FROM_P0 + n->index)};
    memcpy(endpoint.public_key, n->config.parties[peer].key, sizeof endpoint.public_key);
    return net_connect(n->context, &endpoint, wait, &n->link[peer], error);
}

static enum base_status meet(struct node *n, int peer, int64_t wait_ms, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct net_wait wait = {.timeout_ms = wait_ms, .cancelled = asked_to_stop, .context = n};
    if (peer < n->index)
        TRY(net_accept(n->listener[NET_PORT_FROM_P0 + peer], &wait, &n->link[peer], NULL, error));
    else
        TRY(connect_to(n, peer, &wait, error));
    net_link_set_cancel(n->link[peer], asked_to_stop, n);
    net_link_set_timeout(n->link[peer], connect_ms(n));
    TRY(node_hello(&n->identity, n->link[peer], (size_t)n->index, (size_t)peer, error));
out:
    return status;
}

/* Whether a peer connected and went without a word: P0 whose turn was over in the middle of it, on a long way or a busy machine. It comes
 * again. */
static bool went_in_silence(const struct node *n, int peer, enum base_status status)
{
    return peer < n->index && status == BASE_ERR_CLOSED && n->link[peer] != NULL && net_link_lost(n->link[peer]) &&
           !net_link_said_why(n->link[peer]) && !command_stopped(NULL);
}

/* P0 connects to two and asks them in turns, so that one that is missing does not keep it from the one that waits for it. A turn grows with
 * each one that was in vain: a connection takes several round trips, and nobody knows how long those are. */
static enum base_status meet_all(struct node *n, struct base_error *error)
{
    enum base_status status = BASE_OK;
    int64_t deadline = base_deadline_after(connect_ms(n)), turn_ms = TURN_MS;
    int first = party_config_first(n->config.mode);
    for (int peer = 0, met = first; met < 2; peer = (peer + 1) % 3) {
        struct base_error cause = {0};
        if (peer < first || peer == n->index || n->link[peer] != NULL)
            continue;
        int64_t left = base_deadline_left(deadline, connect_ms(n));
        bool in_turns = n->index == 0 && met == 0 && left > turn_ms;
        status = meet(n, peer, in_turns ? turn_ms : left, &cause);
        if (status == BASE_OK)
            met++;
        else if (in_turns && status == BASE_ERR_TIMEOUT && n->link[peer] == NULL)
            turn_ms += peer == 2 ? turn_ms : 0;
        else if (went_in_silence(n, peer, status) && left > 0) {
            net_link_destroy(&n->link[peer]);
            peer--; /* the same one again */
        } else {
            if (n->index == 0 && status == BASE_ERR_TIMEOUT)
                base_error_prefix(&cause, "waited %u s in all", n->config.limits.connect_seconds);
            return base_fail(error, status, "%s", cause.text);
        }
    }
    return status;
}

/* Why this party stops, to those that P0 has not come to connect to: they would wait for it in vain. */
static void tell_unmet(struct node *n, const struct base_error *cause)
{
    struct base_error ignored = {0};
    for (int i = 1; i < 3 && n->index == 0 && !command_stopped(NULL); i++) {
        struct net_wait wait = {.timeout_ms = UNMET_MS, .cancelled = command_stopped};
        if (n->link[i] == NULL && connect_to(n, i, &wait, &ignored) == BASE_OK)
            net_link_abort(n->link[i], cause);
    }
}

/* The same to a client that waits to be served, which would otherwise only see this party vanish. */
static void tell_clients(struct node *n, const struct base_error *cause)
{
    struct net_wait wait = {.timeout_ms = PARTING_MS};
    struct net_link *client = NULL;
    struct base_error ignored = {0};
    for (int i = 0; i < PARTY_CONFIG_CLIENTS; i++) {
        if (net_accept(n->listener[NET_PORT_CLIENTS], &wait, &client, NULL, &ignored) != BASE_OK)
            return;
        net_link_abort(client, cause);
        net_link_destroy(&client);
    }
}

/* A wait that a signal ended names whom it was for, who has nothing to do with it. */
static void say_stopped(enum base_status status, struct base_error *error)
{
    if (status != BASE_ERR_CLOSED || !command_stopped(NULL))
        return;
    *error = (struct base_error){0};
    (void)base_fail(error, status, "this party was asked to stop");
}

enum base_status node_join(struct node *n, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_session_links links = {0};
    drop_links(n);
    base_log_write(&n->log, BASE_LOG_INFO, NULL, "waiting for the other parties");
    notify_send(&n->log, NOTIFY_STATUS, "waiting for the other parties");
    TRY(meet_all(n, error));
    for (int i = 0; i < 3; i++)
        links.to[i] = n->link[i];
    TRY(eng_session_join(&n->session, &links, error));
    /* Those who compute know whom they wait for; P0, whose queues only fill, hears it from them. */
    int64_t step_ms = (int64_t)n->config.limits.step_seconds * SECOND_MS * (n->index == 0 ? 2 : 1);
    for (int i = 0; i < 3; i++)
        if (n->link[i] != NULL)
            net_link_set_timeout(n->link[i], step_ms);
    if (n->config.mode == CONFIG_TWO_PARTY)
        base_log_write(&n->log, BASE_LOG_INFO, NULL, "ready: connected to %s", n->names[3 - n->index]);
    else
        base_log_write(&n->log, BASE_LOG_INFO, NULL, "ready: connected to %s and %s", n->names[n->index == 0 ? 1 : 0],
                       n->names[n->index == 2 ? 1 : 2]);
    notify_send(&n->log, NOTIFY_READY, "%s, ready for requests", n->names[n->index]);
    return BASE_OK;
out:
    say_stopped(status, error);
    node_tell_all(n->link, error);
    tell_clients(n, error); /* they wait for little longer than the parties do */
    tell_unmet(n, error);
    return status;
}

/* --- requests ------------------------------------------------------------------------------------------ */

static void log_request(const struct node *n, const char *who, const struct eng_usage *u)
{
    base_log_write(&n->log, BASE_LOG_INFO, NULL,
                   "request of %s done: %llu prompt tokens in %.1f s, %llu steps in %.1f s; sent %.1f MB "
                   "online, %.1f MB dealt",
                   who, (unsigned long long)u->prefill.tokens, (double)u->prefill.microseconds * 1e-6,
                   (unsigned long long)u->decode.tokens, (double)u->decode.microseconds * 1e-6,
                   (double)(u->prefill.online + u->decode.online) * 1e-6,
                   (double)(u->prefill.offline + u->decode.offline) * 1e-6);
}

/* HELLO with a client, and its runs until it goes, or until the first one (`once`). *ret_joined: the links to the other
 * parties still stand; *ret_answered: there was a run, not only pings. */
static enum base_status serve_client(struct node *n, struct net_link *client, size_t who, bool once, bool *ret_joined,
                                     bool *ret_answered, struct base_error *error)
{
    enum base_status status = BASE_OK;
    *ret_joined = true;
    net_link_set_cancel(client, asked_to_stop, n);
    net_link_set_timeout(client, (int64_t)n->config.limits.step_seconds * SECOND_MS);
    TRY(node_hello(&n->identity, client, (size_t)n->index, 3 + who, error));
    for (bool stays = true; stays && !command_stopped(NULL);) {
        struct eng_served served;
        struct base_error cause = {0};
        status = eng_session_serve(&n->session, client, &served, &cause);
        *ret_joined = served.joined;
        base_memory_give_back(); /* what was dealt ahead and waited here came and went */
        /* One that goes between two requests has done nothing wrong. */
        if (status == BASE_ERR_CLOSED && served.joined && *ret_answered && !served.ran && net_link_lost(client))
            return BASE_OK;
        *ret_answered = *ret_answered || served.ran;
        if (status != BASE_OK)
            return base_fail(error, status, "%s", cause.text);
        stays = served.ran && !once;
        if (served.ran)
            log_request(n, n->config.clients[who].name, &served.usage);
        if (served.ran && n->time_kernels)
            slot_times_log(&n->log);
    }
out:
    return status;
}

/* Index of a party whose link has ended, or -1. */
static int lost_party(struct node *n)
{
    for (int i = 0; i < 3; i++)
        if (n->link[i] != NULL && net_link_lost(n->link[i]))
            return i;
    return -1;
}

/* What a lost peer said last, if anything. */
static struct base_error reason_of_loss(struct node *n, int lost)
{
    struct base_error cause = {0}, reason = {0};
    uint8_t word[8];
    net_link_set_timeout(n->link[lost], PARTING_MS);
    BASE_FAIL_RECEIVE("parties.reason.receive");
    if (net_link_receive(n->link[lost], 0, word, sizeof word, &cause) == BASE_OK)
        cause.text[0] = '\0';
    (void)base_fail(&reason, BASE_ERR_CLOSED, "the link to %s ended: %.400s", n->names[lost], cause.text);
    return reason;
}

/* Waits for a client; *ret_client stays NULL when there was a reason to look up. */
static enum base_status next_client(struct node *n, struct net_link **ret_client, size_t *ret_who,
                                    struct base_error *error)
{
    struct net_wait wait = {.timeout_ms = POLL_MS, .cancelled = asked_to_stop, .context = n};
    struct base_error reason = {0};
    enum base_status status = net_accept(n->listener[NET_PORT_CLIENTS], &wait, ret_client, ret_who, &reason);
    bool was_deaf = n->deaf;
    /* Whoever holds connections until no descriptor is left, or the port, or a name server that is out, keeps clients away for as long, no longer. */
    n->deaf = status == BASE_ERR_MEMORY || status == BASE_ERR_IO;
    if (status == BASE_OK || status == BASE_ERR_TIMEOUT || status == BASE_ERR_CLOSED || (n->deaf && was_deaf))
        return BASE_OK;
    if (status != BASE_ERR_MISMATCH && status != BASE_ERR_PEER && !n->deaf)
        return base_fail(error, status, "%s", reason.text);
    base_log_write(&n->log, BASE_LOG_WARNING, NULL, "%s: %s", n->deaf ? "no client can connect at present" : "a client was refused", reason.text);
    return BASE_OK;
}

/* cause: what the other parties hear, and through them the client, which is to learn who failed. */
static enum base_status rejoin(struct node *n, const char *why, const struct base_error *cause, struct base_error *error)
{
    base_log_write(&n->log, BASE_LOG_WARNING, NULL, "%s: connecting again", why);
    node_tell_all(n->link, cause);
    return node_join(n, error);
}

enum base_status node_serve(struct node *n, bool once, struct base_error *error)
{
    enum base_status status = BASE_OK;
    while (!command_stopped(NULL)) {
        struct net_link *client = NULL;
        size_t who = 0;
        bool joined = true, answered = false;
        int lost = lost_party(n);
        if (lost >= 0) {
            struct base_error loss = reason_of_loss(n, lost);
            TRY(rejoin(n, loss.text, &loss, error));
            continue;
        }
        TRY(next_client(n, &client, &who, error));
        if (client == NULL)
            continue;
        struct base_error failure = {0};
        enum base_status served = serve_client(n, client, who, once, &joined, &answered, &failure);
        net_link_destroy(&client);
        say_stopped(served, &failure);
        if (served != BASE_OK)
            base_log_write(&n->log, BASE_LOG_ERROR, NULL, "request of %s failed: %s",
                           n->config.clients[who].name, failure.text);
        TRY(party_device_failure(&n->device, error));
        if (once && served != BASE_OK)
            TRY(base_fail(error, served, "%s", failure.text));
        if (once && answered)
            break;
        if (!joined && !command_stopped(NULL))
            TRY(rejoin(n, "the request ended the session", &failure, error));
    }
    struct base_error stop = {0};
    (void)base_fail(&stop, BASE_ERR_CLOSED, "asked to stop");
    notify_send(&n->log, NOTIFY_STOPPING, "ending");
    node_tell_all(n->link, &stop);
    base_log_write(&n->log, BASE_LOG_INFO, NULL, "stopped");
out:
    return status;
}
