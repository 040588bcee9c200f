#include "engine/remote.h"

#include "base/memory.h"
#include "engine/decoder.h"
#include "protocols/argmax.h"

#include <sodium.h>
#include <string.h>

enum base_status eng_remote_begin(struct eng_remote *ret, const struct eng_remote_form *form,
                                  const struct eng_request *request, bool keep, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_remote r = {.shape = form->shape, .plan = form->plan, .request = *request};
    if (!keep) {
        randombytes_buf(r.request.nonce, sizeof r.request.nonce);
        randombytes_buf(r.request.key1, sizeof r.request.key1);
        randombytes_buf(r.request.key2, sizeof r.request.key2);
    }
    TRY(base_alloc(&r.hot, (size_t)request->chunk * form->shape->vocab, sizeof *r.hot, error));
    r.client.kern = form->kern;
    memcpy(r.client.link, form->link, sizeof r.client.link);
    for (int party = 0; party < 3; party++) {
        uint8_t bytes[ENG_REQUEST_BYTES];
        struct eng_request own = r.request;
        /* Each key goes to its two holders. */
        if (party == 2)
            memset(own.key1, 0, sizeof own.key1);
        if (party == 1)
            memset(own.key2, 0, sizeof own.key2);
        eng_request_encode(&own, bytes);
        status = net_link_send_blob(form->link[party], 0, bytes, sizeof bytes, error);
        base_wipe(bytes, sizeof bytes);
        base_wipe(&own, sizeof own);
        TRY(status);
    }
    mpc_stream_init(&r.client.o1, form->kern, r.request.key1);
    mpc_stream_init(&r.client.o2, form->kern, r.request.key2);
    *ret = r;
    base_wipe(&r, sizeof r);
    return BASE_OK;
out:
    eng_remote_finish(&r);
    return status;
}

void eng_remote_finish(struct eng_remote *remote)
{
    base_free_secret(&remote->hot);
    mpc_stream_finish(&remote->client.o1);
    mpc_stream_finish(&remote->client.o2);
    base_wipe(&remote->request, sizeof remote->request);
}

static enum base_status say(struct eng_remote *r, enum eng_control control, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (int party = 1; party <= 2; party++)
        TRY(eng_control_send(r->client.link[party], r->client.step, control, error));
    r->client.step++;
out:
    return status;
}

/* The prompt has been fed. */
static bool decodes(const struct eng_remote *r)
{
    return r->fed + r->request.made_up >= r->request.prompt_tokens;
}

/* One-hot rows of the tokens, to the parties. */
static enum base_status give(struct eng_remote *r, const int32_t *tokens, size_t n, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t vocab = r->shape->vocab;
    TRY_THAT(n >= 1 && n <= r->request.chunk, error, BASE_ERR_ARGUMENT,
             "a step of %zu tokens: must be 1 to %u", n, r->request.chunk);
    for (size_t i = 0; i < n; i++)
        TRY_THAT(tokens[i] >= 0 && (size_t)tokens[i] < vocab, error, BASE_ERR_ARGUMENT,
                 "a token is outside the model's vocabulary of %zu", vocab);
    for (int party = 0; party < 3; party++)
        net_link_set_phase(r->client.link[party], decodes(r) ? NET_PHASE_DECODE : NET_PHASE_PREFILL);
    if (decodes(r))
        TRY(say(r, ENG_CONTROL_GO, error));
    memset(r->hot, 0, n * vocab * sizeof *r->hot);
    for (size_t i = 0; i < n; i++)
        r->hot[i * vocab + (size_t)tokens[i]] = 1;
    TRY(mpc_client_give(&r->client, r->hot, n * vocab, SEC_ROW_RING, error));
    r->fed += n;
out:
    return status;
}

static enum base_status take(struct eng_remote *r, size_t rows, struct eng_answer *ret,
                             struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t vocab = r->shape->vocab;
    if (r->request.mode == ENG_REQUEST_ARGMAX) {
        int64_t token;
        TRY(mpc_client_take(&r->client, 1, sec_max_step_for(eng_logit_bound(r->plan), vocab).ri, &token,
                            error));
        ret->token = (int32_t)token;
        return BASE_OK;
    }
    TRY(mpc_client_take(&r->client, rows * vocab, eng_logit_ring(r->shape, r->plan), ret->logits, error));
    TRY(mpc_client_take(&r->client, rows, r->plan->ring - ENG_SQUARES_CUT, ret->squares, error));
out:
    return status;
}

/* Ends a request whose answer is void as any other one, so that the parties serve the next one. */
static enum base_status give_up(struct eng_remote *r, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_usage usage[3];
    TRY(eng_remote_end(r, usage, error));
    status = eng_fail_void(error);
out:
    return status;
}

/* The guard's word ends every step, also one that answers nothing: the next rows wait until both parties have
 * done these, nothing piles up at a party that computes, and progress is what it says. No party learns that
 * the answer is void: the prompt is fed to its end, and a request may end after any token. */
static enum base_status step(void *context, const int32_t *tokens, size_t n, size_t rows,
                             struct eng_answer *ret, struct base_error *error)
{
    struct eng_remote *r = context;
    enum base_status status = BASE_OK;
    bool is_void;
    TRY(give(r, tokens, n, error));
    if (rows > 0)
        TRY(take(r, rows, ret, error));
    TRY(mpc_client_take_guard(&r->client, &is_void, error));
    r->is_void = r->is_void || is_void;
    if (r->is_void && decodes(r))
        status = give_up(r, error);
out:
    return status;
}

struct eng_backend eng_remote_backend(struct eng_remote *remote)
{
    return (struct eng_backend){
        .step = step, .context = remote, .chunk = remote->request.chunk, .mode = remote->request.mode};
}

uint64_t eng_remote_sent(const struct eng_remote *r, enum net_phase phase)
{
    uint64_t sent = 0;
    for (int party = 0; party < 3; party++)
        sent += net_link_count(r->client.link[party], phase)->payload_bytes;
    return sent;
}

enum base_status eng_remote_end(struct eng_remote *r, struct eng_usage ret_usage[3], struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(eng_control_send(r->client.link[0], 0, ENG_CONTROL_STOP, error));
    TRY(say(r, ENG_CONTROL_STOP, error));
    for (int party = 0; party < 3; party++) {
        uint8_t report[ENG_USAGE_BYTES];
        TRY(net_link_receive(r->client.link[party], ENG_REQUEST_REPORT, report, sizeof report, error));
        eng_usage_decode(report, &ret_usage[party]);
    }
    r->ended = true;
out:
    return status;
}
