#include "engine/session.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/fork.h"
#include "base/memory.h"
#include "engine/session_run.h"
#include "mpc/opening.h"

#include <sodium.h>
#include <string.h>
#include <sys/resource.h>

enum { CONFIRM_STEP = 0x434f4e46, KEY_STEP = 0x4b455953, SILENCE_MS = 30000, LOOK_MS = 100 };

enum base_status eng_session_init(struct eng_session *ret, enum mpc_role role, struct eng_decoder_form form,
                                  size_t slots, const struct kern_table *kern, struct base_error *error)
{
    enum base_status status = BASE_OK;
    *ret = (struct eng_session){.idle_ms = SILENCE_MS};
    TRY_THAT(slots >= 1 && slots <= ENG_SLOTS, error, BASE_ERR_ARGUMENT, "%zu slots: must be 1 to %d", slots,
             ENG_SLOTS);
    TRY(base_alloc_locked(&ret->keys, sizeof *ret->keys, error));
    ret->keys->forks = base_forks;
    TRY(base_alloc(&ret->slot, slots, sizeof *ret->slot, error));
    for (; ret->slots < slots; ret->slots++)
        TRY(eng_decoder_init(&ret->slot[ret->slots].decoder, role, form, error));
    TRY(mpc_party_init(&ret->party, role, kern, eng_decoder_work_size(&ret->slot[0].decoder), error));
    return BASE_OK;
out:
    eng_session_finish(ret);
    return status;
}

void eng_session_finish(struct eng_session *session)
{
    for (size_t i = 0; i < session->slots; i++)
        eng_decoder_finish(&session->slot[i].decoder);
    session->slots = 0;
    base_free(&session->slot);
    eng_session_finish_ahead(session);
    mpc_strands_destroy(&session->strands);
    mpc_party_finish(&session->party);
    base_free_locked(&session->keys);
}

/* --- keys ---------------------------------------------------------------------------------------------- */

/* BLAKE2b-256("cachet pair 1" || the half of the party of lower number || the other's half). */
static enum base_status agree(struct net_link *link, bool first, uint8_t ret[ENG_SESSION_KEY],
                              struct base_error *error)
{
    static const char label[] = "cachet pair 1";
    enum base_status status = BASE_OK;
    uint8_t half[2][ENG_SESSION_KEY];
    crypto_generichash_state state;
    int own = first ? 0 : 1;
    randombytes_buf(half[own], sizeof half[own]);
    BASE_FAIL_SEND("engine.key.send");
    TRY(net_link_send(link, KEY_STEP, half[own], sizeof half[own], error));
    BASE_FAIL_RECEIVE("engine.key.receive");
    TRY(net_link_receive(link, KEY_STEP, half[1 - own], sizeof half[1 - own], error));
    (void)crypto_generichash_init(&state, NULL, 0, ENG_SESSION_KEY);
    (void)crypto_generichash_update(&state, (const uint8_t *)label, sizeof label - 1);
    (void)crypto_generichash_update(&state, &half[0][0], sizeof half);
    (void)crypto_generichash_final(&state, ret, ENG_SESSION_KEY);
    BASE_FINGERPRINT(ret, ENG_SESSION_KEY);
    base_wipe(&state, sizeof state);
out:
    base_wipe(half, sizeof half);
    return status;
}

enum base_status eng_session_join(struct eng_session *s, const struct eng_session_links *links,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    int own = (int)s->party.role;
    s->links = *links;
    s->source = (struct mpc_link_source){0};
    if (own == 0) {
        s->source.link[1] = links->to[1];
        s->source.link[2] = links->to[2];
    } else {
        s->source.link[own] = links->to[0];
        s->party.peer = links->to[3 - own];
    }
    s->requests = 0;
    if (s->maker != NULL) {
        TRY(agree(links->to[3 - own], own == 1, s->keys->key12, error));
        return eng_session_join_pair(s, error);
    }
    mpc_source_over_links(&s->party.source, &s->source);
    if (own != 2)
        TRY(agree(links->to[own == 0 ? 1 : 0], own == 0, s->keys->key1, error));
    if (own != 1)
        TRY(agree(links->to[own == 0 ? 2 : 0], own == 0, s->keys->key2, error));
    if (own != 0)
        TRY(agree(links->to[3 - own], own == 1, s->keys->key12, error));
out:
    return status;
}

void eng_session_set_keys(struct eng_session *s, const uint8_t key1[ENG_SESSION_KEY],
                          const uint8_t key2[ENG_SESSION_KEY], const uint8_t key12[ENG_SESSION_KEY])
{
    int own = (int)s->party.role;
    if (own != 2)
        memcpy(s->keys->key1, key1, ENG_SESSION_KEY);
    if (own != 1)
        memcpy(s->keys->key2, key2, ENG_SESSION_KEY);
    if (own != 0)
        memcpy(s->keys->key12, key12, ENG_SESSION_KEY);
}

/* The stream of one pair for one request. */
static void start_pair_stream(struct eng_session *s, struct mpc_stream *stream,
                              const uint8_t key[ENG_SESSION_KEY], const uint8_t nonce[16])
{
    uint8_t input[24], derived[16];
    memcpy(input, nonce, 16);
    base_store_u64(input + 16, s->requests);
    (void)crypto_generichash(derived, sizeof derived, input, sizeof input, key, ENG_SESSION_KEY);
    BASE_FINGERPRINT(derived, sizeof derived);
    mpc_stream_init(stream, s->party.kern, derived);
    base_wipe(derived, sizeof derived);
}

static void start_streams(struct eng_session *s, const struct eng_request *r)
{
    struct mpc_party *p = &s->party;
    int own = (int)s->party.role;
    base_fork_check(s->keys->forks, "the keys of a session");
    s->requests++;
    if (own != 2) {
        start_pair_stream(s, &p->s1, s->keys->key1, r->nonce);
        mpc_stream_init(&p->o1, p->kern, r->key1);
    }
    if (own != 1) {
        start_pair_stream(s, &p->s2, s->keys->key2, r->nonce);
        mpc_stream_init(&p->o2, p->kern, r->key2);
    }
    if (own != 0)
        start_pair_stream(s, &p->s12, s->keys->key12, r->nonce);
}

/* What two parties must have in common before either works on a request, under the key that they agreed on: the request's public fields, which
 * request of this meeting it is, and the key of the input masks that both hold (none between P1 and P2). `pair`: the sum of their numbers. */
static void digest_request(const struct eng_session *s, const struct eng_request *r, int pair,
                           uint8_t ret[ENG_SESSION_KEY])
{
    static const char label[] = "cachet request 2";
    const uint8_t *agreed = pair == 1 ? s->keys->key1 : pair == 2 ? s->keys->key2 : s->keys->key12;
    const uint8_t *key = pair == 1 ? r->key1 : pair == 2 ? r->key2 : NULL;
    crypto_generichash_state state;
    uint8_t fields[28];
    base_store_u32(fields, r->prompt_tokens);
    base_store_u32(fields + 4, r->new_tokens);
    base_store_u32(fields + 8, r->chunk);
    base_store_u32(fields + 12, (uint32_t)r->mode | (uint32_t)r->prepare << 16);
    base_store_u64(fields + 16, s->requests);
    base_store_u32(fields + 24, r->made_up);
    (void)crypto_generichash_init(&state, agreed, ENG_SESSION_KEY, ENG_SESSION_KEY);
    (void)crypto_generichash_update(&state, (const uint8_t *)label, sizeof label - 1);
    (void)crypto_generichash_update(&state, fields, sizeof fields);
    (void)crypto_generichash_update(&state, r->nonce, sizeof r->nonce);
    if (key != NULL)
        (void)crypto_generichash_update(&state, key, ENG_REQUEST_KEY);
    (void)crypto_generichash_final(&state, ret, ENG_SESSION_KEY);
    base_wipe(&state, sizeof state);
}

/* All three serve the same request of the same client, or none: nothing is dealt or computed before. */
static enum base_status confirm_request(struct eng_session *s, const struct eng_request *r)
{
    struct mpc_party *p = &s->party;
    enum base_status status = BASE_OK;
    int own = (int)s->party.role;
    uint8_t mine[3][ENG_SESSION_KEY], theirs[ENG_SESSION_KEY];
    for (int i = 0; i < 3; i++)
        if (s->links.to[i] != NULL) {
            digest_request(s, r, own + i, mine[i]);
            BASE_FAIL_SEND("engine.confirm.send");
            TRY(net_link_send(s->links.to[i], CONFIRM_STEP, mine[i], sizeof mine[i], &p->error));
        }
    for (int i = 0; i < 3; i++)
        if (s->links.to[i] != NULL) {
            BASE_FAIL_RECEIVE("engine.confirm.receive");
            TRY(net_link_receive(s->links.to[i], CONFIRM_STEP, theirs, sizeof theirs, &p->error));
            TRY_THAT(
                sodium_memcmp(mine[i], theirs, sizeof theirs) == 0, &p->error, BASE_ERR_PEER,
                "%s: the client sent it another request than this party, or it holds another key of this meeting: use one build of cachet everywhere",
                net_link_peer(s->links.to[i]));
        }
out:
    base_wipe(mine, sizeof mine);
    return status;
}

static void stop_streams(struct mpc_party *p)
{
    mpc_stream_finish(&p->s1);
    mpc_stream_finish(&p->s2);
    mpc_stream_finish(&p->o1);
    mpc_stream_finish(&p->o2);
    mpc_stream_finish(&p->s12);
}

/* --- one run ------------------------------------------------------------------------------------------- */

static enum base_status check_request(const struct eng_session *s, const struct eng_request *r,
                                      struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t chunk = s->slot[0].decoder.form.chunk;
    struct eng_order slot = {.prompt_tokens = r->prompt_tokens, .new_tokens = r->new_tokens, .made_up = r->made_up};
    TRY(eng_session_check_slot(s, &slot, error));
    TRY_THAT(r->chunk == chunk, error, BASE_ERR_ARGUMENT,
             "the client feeds the prompt in chunks of %u rows, the parties in chunks of %zu", r->chunk, chunk);
    TRY_THAT(s->maker == NULL || r->mode != ENG_REQUEST_ARGMAX, error, BASE_ERR_SUPPORT,
             "tokens are chosen inside by gates that two parties without P0 do not make: let the client choose");
    TRY_THAT(!r->prepare || s->maker != NULL, error, BASE_ERR_SUPPORT,
             "P0 deals while it is asked, and nothing is made ahead of use: cachet prepare is for mode two-party");
    TRY_THAT(!r->prepare || r->made_up == 0, error, BASE_ERR_ARGUMENT, "material is made for whole prompts: this request has %u made-up rows", r->made_up);
out:
    return status;
}

static void count_phase(const struct eng_session *s, enum net_phase phase, struct eng_phase_usage *ret)
{
    bool deals = s->party.role == MPC_HELPER;
    for (int i = 0; i < 3; i++) {
        if (s->links.to[i] == NULL || (!deals && i == 0))
            continue;
        const struct net_count *count = net_link_count(s->links.to[i], phase);
        ret->rounds += count->rounds;
        if (deals)
            ret->offline += count->payload_bytes;
        else
            ret->online += count->payload_bytes;
    }
    ret->client = net_link_count(s->party.client, phase)->payload_bytes;
}

double eng_session_network_seconds(const struct eng_session *s)
{
    double seconds = net_link_used(s->party.client);
    for (int i = 0; i < 3; i++)
        if (s->links.to[i] != NULL)
            seconds += net_link_used(s->links.to[i]);
    return seconds;
}

void eng_session_set_phase(struct eng_session *s, enum net_phase phase)
{
    for (int i = 0; i < 3; i++)
        if (s->links.to[i] != NULL)
            net_link_set_phase(s->links.to[i], phase);
    net_link_set_phase(s->party.client, phase);
}

uint64_t eng_session_sent(const struct eng_session *s)
{
    uint64_t sent = 0;
    for (int i = 0; i < 3; i++)
        for (int phase = 0; s->links.to[i] != NULL && (i != 0 || s->party.role == MPC_HELPER) && phase < NET_PHASE_COUNT; phase++)
            sent += net_link_count(s->links.to[i], (enum net_phase)phase)->payload_bytes;
    return sent;
}

double eng_session_waited(const struct eng_session *s)
{
    double waited = 0;
    for (int i = 0; i < 3; i++)
        if (s->links.to[i] != NULL)
            waited += net_link_waited(s->links.to[i]);
    return waited;
}

static void count_all(const struct eng_session *s, struct eng_usage *ret)
{
    struct rusage self;
    count_phase(s, NET_PHASE_PREFILL, &ret->prefill);
    count_phase(s, NET_PHASE_DECODE, &ret->decode);
    for (int i = 0; i < MPC_OPENING_COUNT; i++)
        ret->opened += s->party.openings[i];
    if (getrusage(RUSAGE_SELF, &self) == 0)
        ret->peak_memory = (uint64_t)self.ru_maxrss * 1024;
}

/* Waits for a client's next word as long as the other parties stand: whoever loses one tells it. *ret_joined: they do. */
static enum base_status wait_for_word(struct eng_session *s, struct net_link *client, bool *ret_joined,
                                      struct base_error *error)
{
    enum base_status status = BASE_OK;
    int64_t deadline = base_deadline_after(s->idle_ms);
    while (!net_link_wait(client, LOOK_MS)) {
        status = eng_session_look_at_parties(s, error);
        *ret_joined = status == BASE_OK;
        TRY(status);
        TRY(eng_session_check_stop(s, error));
        TRY_THAT(base_clock_ms() < deadline, error, BASE_ERR_TIMEOUT, "%s: it has said nothing for %lld ms",
                 net_link_peer(client), (long long)s->idle_ms);
    }
out:
    return status;
}

/* Pings come back until the request is there, or until the client goes: *ret_gone. */
static enum base_status receive_request(struct eng_session *s, struct net_link *client, struct eng_request *ret,
                                        bool *ret_gone, bool *ret_joined, struct base_error *error)
{
    enum base_status status = BASE_OK;
    unsigned char *bytes = NULL;
    size_t size = 0;
    for (bool pinged = false;; pinged = true) {
        struct base_error reason = {0};
        TRY(wait_for_word(s, client, ret_joined, error));
        BASE_FAIL_RECEIVE("engine.request.receive");
        status = net_link_receive_blob(client, 0, ENG_PING_MAX, &bytes, &size, &reason);
        *ret_gone = pinged && status == BASE_ERR_CLOSED;
        if (status != BASE_OK)
            return *ret_gone ? BASE_OK : base_fail(error, status, "%s", reason.text);
        if (!eng_answer_ping(bytes, size))
            break;
        BASE_FAIL_SEND("engine.pong.send");
        TRY(net_link_send_blob(client, 0, bytes, size, error));
        base_free_secret(&bytes);
    }
    TRY(eng_request_decode(bytes, size, ret, error));
out:
    base_free_secret(&bytes);
    return status;
}

/* Ready for another request: no trace of the last one. A run has closed its slots. */
static void clear(struct eng_session *s)
{
    struct mpc_party *p = &s->party;
    stop_streams(p);
    mpc_strands_release(s->strands, true);
    base_arena_release(&p->arena, 0);
    base_arena_trim(&p->arena);
    memset(p->openings, 0, sizeof p->openings);
    eng_session_clear_ahead(s);
    p->pending_count = 0;
    p->guard = 0;
    p->step = p->client_step = 0;
    p->stopped = p->client_lost = false;
    p->declared = (struct mpc_cost){0};
    p->status = BASE_OK;
    p->error = (struct base_error){0};
    for (int i = 0; i < 3; i++)
        if (s->links.to[i] != NULL)
            net_link_reset_count(s->links.to[i]);
}

/* The end of a run and its report. It has been served: a client that does not stay for it loses only that. */
static void report(struct net_link *client, const struct eng_usage *usage)
{
    static const uint8_t word[8];
    uint8_t bytes[ENG_USAGE_BYTES];
    struct base_error late = {0};
    eng_usage_encode(usage, bytes);
    BASE_FAIL_SEND("engine.report.send");
    bool sent = net_link_send(client, ENG_REQUEST_END, word, sizeof word, &late) == BASE_OK &&
                net_link_send(client, ENG_REQUEST_REPORT, bytes, sizeof bytes, &late) == BASE_OK;
    if (!sent && late.code != BASE_ERR_CLOSED)
        net_link_abort(client, &late);
}

/* Why this party leaves the others. A wait that a signal ended names whom it was for, who has nothing to do with it; and a client that has gone or was
 * refused has left P1 and P2 at different places, of which each would name the other. */
static enum base_status fail_served(const struct eng_session *s, struct net_link *client, const struct base_error *refusal, const struct base_error *cause,
                                    struct base_error *error)
{
    if (cause->code == BASE_ERR_CLOSED && eng_session_check_stop(s, error) != BASE_OK)
        return cause->code;
    if (refusal->code != BASE_OK)
        return base_fail(error, cause->code, "%.300s; then %.300s", refusal->text, cause->text);
    if (cause->code == BASE_ERR_PEER && net_link_lost(client))
        return base_fail(error, cause->code, "%s has gone; then %.300s", net_link_peer(client), cause->text);
    return base_fail(error, cause->code, "%s", cause->text);
}

static void tell_all(struct eng_session *s, struct net_link *client, const struct base_error *error)
{
    net_link_abort(client, error);
    for (int i = 0; i < 3; i++)
        if (s->links.to[i] != NULL)
            net_link_abort(s->links.to[i], error);
}

enum base_status eng_session_serve(struct eng_session *s, struct net_link *client, struct eng_served *ret,
                                   struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_request request = {0};
    struct eng_usage usage = {0};
    struct base_error refusal = {0};
    bool gone = false;
    *ret = (struct eng_served){.joined = true};
    struct base_error cause = {0};
    status = receive_request(s, client, &request, &gone, &ret->joined, &cause);
    if (gone)
        return BASE_OK;
    if (status != BASE_OK)
        (void)fail_served(s, client, &refusal, &cause, error);
    if (status == BASE_OK)
        status = check_request(s, &request, error);
    if (status == BASE_ERR_MEMORY) {
        /* The others find nothing wrong with the request, and would wait for this party. */
        tell_all(s, client, error);
        ret->joined = false;
        goto out;
    }
    if (status != BASE_OK) {
        net_link_abort(client, error);
        goto out;
    }
    clear(s);
    ret->ran = true;
    s->party.client = client;
    start_streams(s, &request);
    eng_session_set_phase(s, NET_PHASE_SETUP);
    status = confirm_request(s, &request);
    s->party.status = status;
    if (status == BASE_OK)
        status = eng_session_run(s, &request, &usage, &refusal);
    count_all(s, &usage);
    if (status != BASE_OK) {
        (void)fail_served(s, client, &refusal, &s->party.error, error);
        tell_all(s, client, error);
        ret->joined = false;
    } else if (refusal.code != BASE_OK) {
        status = base_fail(error, refusal.code, "%s", refusal.text);
        net_link_abort(client, error);
    } else {
        report(client, &usage);
        ret->usage = usage;
    }
    clear(s);
out:
    base_wipe(&request, sizeof request);
    return status;
}
