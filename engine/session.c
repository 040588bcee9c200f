#include "engine/session.h"

#include "base/clock.h"
#include "base/memory.h"
#include "mpc/opening.h"
#include "protocols/argmax.h"

#include <sodium.h>
#include <string.h>
#include <sys/resource.h>

enum {
    END_STEP = 0x7fffffff,
    CONFIRM_STEP = 0x434f4e46,
    MOST_PINGS = 64,
    KEY_STEP = 0x4b455953,
    IDLE_MS = 3600 * 1000
};

enum base_status eng_session_init(struct eng_session *ret, enum mpc_role role, struct eng_decoder_form form,
                                  const struct kern_table *kern, struct base_error *error)
{
    enum base_status status = BASE_OK;
    *ret = (struct eng_session){0};
    TRY(eng_decoder_init(&ret->decoder, role, form, error));
    TRY(mpc_party_init(&ret->party, role, kern, eng_decoder_work_size(&ret->decoder), error));
    return BASE_OK;
out:
    eng_session_finish(ret);
    return status;
}

void eng_session_finish(struct eng_session *session)
{
    eng_decoder_finish(&session->decoder);
    mpc_party_finish(&session->party);
    base_wipe(session->key1, sizeof session->key1);
    base_wipe(session->key2, sizeof session->key2);
    base_wipe(session->key12, sizeof session->key12);
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
    TRY(net_link_send(link, KEY_STEP, half[own], sizeof half[own], error));
    TRY(net_link_receive(link, KEY_STEP, half[1 - own], sizeof half[1 - own], error));
    (void)crypto_generichash_init(&state, NULL, 0, ENG_SESSION_KEY);
    (void)crypto_generichash_update(&state, (const uint8_t *)label, sizeof label - 1);
    (void)crypto_generichash_update(&state, &half[0][0], sizeof half);
    (void)crypto_generichash_final(&state, ret, ENG_SESSION_KEY);
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
    mpc_source_over_links(&s->party.source, &s->source);
    s->requests = 0;
    if (own != 2)
        TRY(agree(links->to[own == 0 ? 1 : 0], own == 0, s->key1, error));
    if (own != 1)
        TRY(agree(links->to[own == 0 ? 2 : 0], own == 0, s->key2, error));
    if (own != 0)
        TRY(agree(links->to[3 - own], own == 1, s->key12, error));
out:
    return status;
}

void eng_session_set_keys(struct eng_session *s, const uint8_t key1[ENG_SESSION_KEY],
                          const uint8_t key2[ENG_SESSION_KEY], const uint8_t key12[ENG_SESSION_KEY])
{
    int own = (int)s->party.role;
    if (own != 2)
        memcpy(s->key1, key1, ENG_SESSION_KEY);
    if (own != 1)
        memcpy(s->key2, key2, ENG_SESSION_KEY);
    if (own != 0)
        memcpy(s->key12, key12, ENG_SESSION_KEY);
}

/* The stream of one pair for one request. */
static void start_pair_stream(struct eng_session *s, struct mpc_stream *stream,
                              const uint8_t key[ENG_SESSION_KEY], const uint8_t nonce[16])
{
    uint8_t input[24], derived[16];
    memcpy(input, nonce, 16);
    base_store_u64(input + 16, s->requests);
    (void)crypto_generichash(derived, sizeof derived, input, sizeof input, key, ENG_SESSION_KEY);
    mpc_stream_init(stream, s->party.kern, derived);
    base_wipe(derived, sizeof derived);
}

static void start_streams(struct eng_session *s, const struct eng_request *r)
{
    struct mpc_party *p = &s->party;
    int own = (int)s->party.role;
    s->requests++;
    if (own != 2) {
        start_pair_stream(s, &p->s1, s->key1, r->nonce);
        mpc_stream_init(&p->o1, p->kern, r->key1);
    }
    if (own != 1) {
        start_pair_stream(s, &p->s2, s->key2, r->nonce);
        mpc_stream_init(&p->o2, p->kern, r->key2);
    }
    if (own != 0)
        start_pair_stream(s, &p->s12, s->key12, r->nonce);
}

/* What two parties must have heard alike before either works on a request: its public fields, which request
 * of this meeting it is, and the key of the input masks that both hold (`key`, NULL between P1 and P2). */
static void digest_request(const struct eng_session *s, const struct eng_request *r, const uint8_t *key,
                           uint8_t ret[ENG_SESSION_KEY])
{
    static const char label[] = "cachet request 1";
    crypto_generichash_state state;
    uint8_t fields[28];
    base_store_u32(fields, r->prompt_tokens);
    base_store_u32(fields + 4, r->new_tokens);
    base_store_u32(fields + 8, r->chunk);
    base_store_u32(fields + 12, (uint32_t)r->mode);
    base_store_u64(fields + 16, s->requests);
    base_store_u32(fields + 24, r->made_up);
    (void)crypto_generichash_init(&state, NULL, 0, ENG_SESSION_KEY);
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
            digest_request(s, r, own + i == 1 ? r->key1 : own + i == 2 ? r->key2 : NULL, mine[i]);
            TRY(net_link_send(s->links.to[i], CONFIRM_STEP, mine[i], sizeof mine[i], &p->error));
        }
    for (int i = 0; i < 3; i++)
        if (s->links.to[i] != NULL) {
            TRY(net_link_receive(s->links.to[i], CONFIRM_STEP, theirs, sizeof theirs, &p->error));
            TRY_THAT(
                sodium_memcmp(mine[i], theirs, sizeof theirs) == 0, &p->error, BASE_ERR_PEER,
                "%s: the client sent it another request than this party: use one build of cachet everywhere",
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

/* --- one request --------------------------------------------------------------------------------------- */

static enum base_status check_request(const struct eng_session *s, const struct eng_request *r,
                                      struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t context = s->decoder.form.context;
    TRY_THAT(r->prompt_tokens >= 1 && r->new_tokens >= 1, error, BASE_ERR_ARGUMENT,
             "a request of %u prompt tokens and %u new ones: both must be 1 or more", r->prompt_tokens,
             r->new_tokens);
    TRY_THAT((uint64_t)r->prompt_tokens + r->new_tokens <= context, error, BASE_ERR_ARGUMENT,
             "%u prompt tokens and %u new ones are more than the context of %zu that the parties were "
             "started with",
             r->prompt_tokens, r->new_tokens, context);
    TRY_THAT(r->made_up == 0 || (s->made_up_rows && r->made_up < r->prompt_tokens), error, BASE_ERR_ARGUMENT,
             "a request that begins with %u made-up cached rows of %u: parties take such requests, with one row "
             "fewer at most, when they were started with --made-up-rows, and for benchmarks alone",
             r->made_up, r->prompt_tokens);
    TRY(eng_decoder_allows(&s->decoder.form, r->prompt_tokens, r->new_tokens, error));
    TRY_THAT(r->chunk == s->decoder.form.chunk, error, BASE_ERR_ARGUMENT,
             "the client feeds the prompt in chunks of %u rows, the parties in chunks of %zu", r->chunk,
             s->decoder.form.chunk);
out:
    return status;
}

static void set_phase(struct eng_session *s, enum net_phase phase)
{
    for (int i = 0; i < 3; i++)
        if (s->links.to[i] != NULL)
            net_link_set_phase(s->links.to[i], phase);
    net_link_set_phase(s->party.client, phase);
}

/* The logits or the token of one step, to the client. */
static enum base_status answer(struct eng_session *s, const struct eng_request *r,
                               const struct eng_logits *out)
{
    struct mpc_party *p = &s->party;
    enum base_status status = BASE_OK;
    if (r->mode != ENG_REQUEST_ARGMAX) {
        TRY(mpc_open_to_client(p, out->logits, MPC_OPEN_LOGITS));
        TRY(mpc_open_to_client(p, out->squares, MPC_OPEN_FINAL_SQUARES));
        return status;
    }
    struct sec_max_step step = sec_max_step_for(out->logits.bound, out->logits.count);
    struct sec_ranked best;
    TRY(sec_argmax_eval(p, &step, out->logits, &best));
    TRY(mpc_open_to_client(p, best.id, MPC_OPEN_TOKEN));
out:
    return status;
}

static enum base_status run_step(struct eng_session *s, const struct eng_request *r, size_t n, bool last)
{
    struct mpc_party *p = &s->party;
    enum base_status status = BASE_OK;
    struct eng_logits out;
    size_t mark = base_arena_mark(&p->arena), rows = r->mode == ENG_REQUEST_SCORE ? n : last ? 1 : 0;
    struct mpc_wire hot = mpc_input(p, NULL, n * s->decoder.form.shape->vocab, SEC_ROW_RING, 0, 1);
    TRY(eng_decoder_step(&s->decoder, p, hot, n, rows, &out));
    if (rows > 0)
        TRY(answer(s, r, &out));
    /* Also after a step that answers nothing: the client's next rows wait for it. */
    TRY(mpc_open_guard(p));
out:
    base_arena_release(&p->arena, mark);
    return status;
}

/* Whether the client wants another token: P1 and P2 wait for its word, P0 only looks whether it has stopped.
 */
static enum base_status goes_on(struct eng_session *s, bool *ret)
{
    struct mpc_party *p = &s->party;
    enum eng_control control = ENG_CONTROL_GO;
    enum base_status status = BASE_OK;
    if (mpc_computes(p) || net_link_pending(p->client))
        TRY(eng_control_receive(p->client, p->client_step++, &control, &p->error));
    *ret = control == ENG_CONTROL_GO;
out:
    p->status = status;
    return status;
}

static enum base_status prefill(struct eng_session *s, const struct eng_request *r)
{
    enum base_status status = BASE_OK;
    TRY(eng_decoder_make_up(&s->decoder, &s->party, r->made_up));
    for (size_t at = r->made_up; at < r->prompt_tokens; at += r->chunk) {
        size_t left = r->prompt_tokens - at, n = left < r->chunk ? left : r->chunk;
        TRY(run_step(s, r, n, left == n));
    }
out:
    return status;
}

/* P0 has dealt everything and waits for the client's word, but no longer than the other parties do: a client
 * that neither speaks nor goes must not hold P0 back from their next meeting. */
static enum base_status wait_for_client(struct eng_session *s)
{
    enum { LOOK_MS = 5 };
    struct mpc_party *p = &s->party;
    enum base_status status = BASE_OK;
    int64_t deadline = base_deadline_after(IDLE_MS);
    while (!net_link_pending(p->client)) {
        for (int i = 1; i <= 2; i++)
            TRY_THAT(!net_link_lost(s->links.to[i]), &p->error, BASE_ERR_CLOSED,
                     "%s: the link ended during the request", net_link_peer(s->links.to[i]));
        TRY_THAT(s->cancelled == NULL || !s->cancelled(NULL), &p->error, BASE_ERR_CLOSED,
                 "this party was asked to stop");
        TRY_THAT(base_clock_ms() < deadline, &p->error, BASE_ERR_TIMEOUT, "%s: it has not ended its request",
                 net_link_peer(p->client));
        base_sleep_ms(LOOK_MS);
    }
out:
    return status;
}

/* P0 marks the end of what it dealt; P1 and P2 drop what they will not use. */
static enum base_status close_material(struct eng_session *s, bool stopped)
{
    static const uint8_t word[8];
    struct mpc_party *p = &s->party;
    enum base_status status = BASE_OK;
    set_phase(s, NET_PHASE_SETUP);
    if (p->role != MPC_HELPER)
        return p->status = net_link_skip_to(s->links.to[0], END_STEP, &p->error);
    for (int i = 1; i <= 2; i++)
        TRY(net_link_send(s->links.to[i], END_STEP, word, sizeof word, &p->error));
    if (!stopped) {
        enum eng_control control;
        TRY(wait_for_client(s));
        TRY(eng_control_receive(p->client, p->client_step++, &control, &p->error));
    }
out:
    p->status = status;
    return status;
}

/* In microseconds. The client may work with P0, who must not time single rounds of P1 and P2. */
static uint64_t whole_milliseconds(double seconds)
{
    return (uint64_t)(seconds * 1e3) * 1000;
}

static enum base_status run_request(struct eng_session *s, const struct eng_request *r,
                                    struct eng_usage *usage)
{
    struct mpc_party *p = &s->party;
    enum base_status status = BASE_OK;
    bool going = true;
    double start = base_clock_seconds(), middle, cpu_start = base_cpu_seconds(), cpu_middle;
    set_phase(s, NET_PHASE_PREFILL);
    TRY(eng_decoder_begin(&s->decoder, p, r->prompt_tokens, r->new_tokens, &p->error));
    TRY(prefill(s, r));
    middle = base_clock_seconds();
    cpu_middle = base_cpu_seconds();
    set_phase(s, NET_PHASE_DECODE);
    for (size_t i = 1; going; i++) {
        /* After the last token P0 deals no more; P1 and P2 still hear the client's word. */
        if (p->role == MPC_HELPER && i >= r->new_tokens)
            break;
        TRY(goes_on(s, &going));
        if (!going)
            break;
        TRY_THAT(i < r->new_tokens, &p->error, BASE_ERR_PEER,
                 "the client asks for token %zu of a request of %u", i + 1, r->new_tokens);
        TRY(run_step(s, r, 1, true));
        usage->decode.tokens++;
    }
    TRY(close_material(s, !going));
    usage->prefill.tokens = r->prompt_tokens - r->made_up;
    usage->prefill.microseconds = (uint64_t)((middle - start) * 1e6);
    usage->prefill.cpu_microseconds = whole_milliseconds(cpu_middle - cpu_start);
    usage->decode.microseconds = (uint64_t)((base_clock_seconds() - middle) * 1e6);
    usage->decode.cpu_microseconds = whole_milliseconds(base_cpu_seconds() - cpu_middle);
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

/* Pings come back until the request is there, or until the client goes: *ret_gone. */
static enum base_status receive_request(struct net_link *client, struct eng_request *ret, bool *ret_gone,
                                        struct base_error *error)
{
    enum base_status status = BASE_OK;
    unsigned char *bytes = NULL;
    size_t size = 0;
    int pings = 0;
    for (;;) {
        struct base_error reason = {0};
        status = net_link_receive_blob(client, 0, ENG_PING_MAX, &bytes, &size, &reason);
        *ret_gone = pings > 0 && status == BASE_ERR_CLOSED;
        if (status != BASE_OK)
            return *ret_gone ? BASE_OK : base_fail(error, status, "%s", reason.text);
        if (!eng_is_ping(bytes, size))
            break;
        TRY_THAT(++pings <= MOST_PINGS, error, BASE_ERR_PEER, "%s: more than %d pings in one session",
                 net_link_peer(client), MOST_PINGS);
        TRY(net_link_send_blob(client, 0, bytes, size, error));
        base_free_secret(&bytes);
    }
    TRY(eng_request_decode(bytes, size, ret, error));
out:
    base_free_secret(&bytes);
    return status;
}

/* Ready for another request: no trace of the last one. */
static void clear(struct eng_session *s)
{
    struct mpc_party *p = &s->party;
    stop_streams(p);
    eng_decoder_reset(&s->decoder);
    base_arena_release(&p->arena, 0);
    base_arena_trim(&p->arena);
    memset(p->openings, 0, sizeof p->openings);
    p->pending_count = 0;
    p->guard = 0;
    p->step = p->client_step = 0;
    p->declared = (struct mpc_cost){0};
    p->status = BASE_OK;
    p->error = (struct base_error){0};
    for (int i = 0; i < 3; i++)
        if (s->links.to[i] != NULL)
            net_link_reset_count(s->links.to[i]);
}

enum base_status eng_session_serve(struct eng_session *s, struct net_link *client,
                                   struct eng_usage *ret_usage, bool *ret_joined, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_request request = {0};
    struct eng_usage usage = {0};
    uint8_t report[ENG_USAGE_BYTES];
    bool gone = false;
    *ret_joined = true;
    *ret_usage = usage;
    status = receive_request(client, &request, &gone, error);
    if (gone)
        return BASE_OK;
    if (status == BASE_OK)
        status = check_request(s, &request, error);
    if (status != BASE_OK) {
        net_link_abort(client, error);
        goto out;
    }
    clear(s);
    s->party.client = client;
    start_streams(s, &request);
    set_phase(s, NET_PHASE_SETUP);
    status = confirm_request(s, &request);
    s->party.status = status;
    if (status == BASE_OK)
        status = run_request(s, &request, &usage);
    count_all(s, &usage);
    if (status == BASE_OK) {
        eng_usage_encode(&usage, report);
        /* The request has been answered: a client that does not stay for the report loses only that. */
        struct base_error late = {0};
        if (net_link_send(client, ENG_REQUEST_REPORT, report, sizeof report, &late) != BASE_OK)
            net_link_abort(client, &late);
        *ret_usage = usage;
    } else {
        (void)base_fail(error, status, "%s", s->party.error.text);
        net_link_abort(client, error);
        for (int i = 0; i < 3; i++)
            if (s->links.to[i] != NULL)
                net_link_abort(s->links.to[i], error);
        *ret_joined = false;
    }
    clear(s);
out:
    base_wipe(&request, sizeof request);
    return status;
}
