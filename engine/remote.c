#include "engine/remote.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "engine/decoder.h"
#include "protocols/argmax.h"

#include <sodium.h>
#include <string.h>

static struct eng_remote_slot opened(uint32_t prompt_tokens, uint32_t new_tokens, uint32_t made_up)
{
    return (struct eng_remote_slot){.open = true,
                                    .busy = true,
                                    .prompt_tokens = prompt_tokens,
                                    .new_tokens = new_tokens,
                                    .fed = made_up,
                                    .planned = made_up};
}

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
    r.slot[0] = opened(request->prompt_tokens, request->new_tokens, request->made_up);
    r.word_due = form->link[0] == NULL && !request->prepare;
    TRY(base_alloc(&r.hot, (size_t)request->chunk * form->shape->vocab, sizeof *r.hot, error));
    r.client.kern = form->kern;
    memcpy(r.client.link, form->link, sizeof r.client.link);
    for (int party = 0; party < 3; party++) {
        uint8_t bytes[ENG_REQUEST_BYTES];
        struct eng_request own = r.request;
        if (form->link[party] == NULL)
            continue;
        /* Each key goes to its two holders. */
        if (party == 2)
            memset(own.key1, 0, sizeof own.key1);
        if (party == 1)
            memset(own.key2, 0, sizeof own.key2);
        eng_request_encode(&own, bytes);
        BASE_FAIL_SEND("engine.request.send");
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

/* --- orders -------------------------------------------------------------------------------------------- */

/* Slots of a set from the lowest on; returns whether there is one at or after *i. */
static bool next_slot(uint32_t slots, size_t *i)
{
    while (*i < ENG_SLOTS && !(slots >> *i & 1))
        ++*i;
    return *i < ENG_SLOTS;
}

/* Rows of a step of these slots, with `done` rows of the first one behind it. */
static void step_size(const struct eng_remote *r, uint32_t slots, uint32_t done, size_t *ret_rows, size_t *ret_answers)
{
    size_t first = 0, count = 0;
    (void)next_slot(slots, &first);
    for (size_t i = 0; next_slot(slots, &i); i++)
        count++;
    bool decoding = first < ENG_SLOTS && done >= r->slot[first].prompt_tokens;
    size_t left = decoding ? count : r->slot[first % ENG_SLOTS].prompt_tokens - done;
    *ret_rows = left < r->request.chunk ? left : r->request.chunk;
    *ret_answers = r->request.mode == ENG_REQUEST_SCORE ? *ret_rows : decoding ? count : left == *ret_rows;
}

void eng_remote_step_size(const struct eng_remote *r, uint32_t slots, size_t *ret_rows, size_t *ret_answers)
{
    size_t first = 0;
    (void)next_slot(slots, &first);
    step_size(r, slots, r->slot[first % ENG_SLOTS].fed, ret_rows, ret_answers);
}

bool eng_remote_has_room(const struct eng_remote *r)
{
    return r->planned_count < ENG_AHEAD;
}

/* Bytes of a step count for the prompt or for the tokens after it. */
static enum net_phase phase_of(const struct eng_remote *r, const struct eng_order *order, bool planned)
{
    size_t first = 0;
    if (order->kind != ENG_ORDER_STEP || !next_slot(order->slots, &first))
        return NET_PHASE_SETUP;
    const struct eng_remote_slot *slot = &r->slot[first];
    return (planned ? slot->planned : slot->fed) >= slot->prompt_tokens ? NET_PHASE_DECODE : NET_PHASE_PREFILL;
}

/* How the slots are once an order has been planned, or carried out. */
static void apply(struct eng_remote *r, const struct eng_order *order, bool planned)
{
    size_t rows, answers, first = 0;
    if (!next_slot(order->slots, &first))
        return;
    struct eng_remote_slot *slot = &r->slot[first];
    if (order->kind == ENG_ORDER_OPEN && planned)
        *slot = opened(order->prompt_tokens, order->new_tokens, order->made_up);
    if (order->kind == ENG_ORDER_CLOSE)
        *(planned ? &slot->open : &slot->busy) = false;
    if (order->kind != ENG_ORDER_STEP)
        return;
    step_size(r, order->slots, planned ? slot->planned : slot->fed, &rows, &answers);
    bool decoding = (planned ? slot->planned : slot->fed) >= slot->prompt_tokens;
    for (size_t i = 0; next_slot(order->slots, &i); i++)
        *(planned ? &r->slot[i].planned : &r->slot[i].fed) += (uint32_t)(decoding ? 1 : rows);
}

enum base_status eng_remote_plan(struct eng_remote *r, const struct eng_order *order, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t first = 0;
    TRY_THAT(eng_remote_has_room(r), error, BASE_ERR_INTERNAL, "more than %d orders are planned", ENG_AHEAD);
    TRY_THAT(order->kind != ENG_ORDER_OPEN || (next_slot(order->slots, &first) && !r->slot[first].busy), error,
             BASE_ERR_INTERNAL, "slot %zu is opened while it is in use", first);
    if (r->client.link[0] != NULL) {
        net_link_set_phase(r->client.link[0], phase_of(r, order, true));
        TRY(eng_order_send(r->client.link[0], r->ordered, order, error));
    }
    r->ordered++;
    r->planned[r->planned_count++] = *order;
    apply(r, order, true);
out:
    return status;
}

/* --- steps --------------------------------------------------------------------------------------------- */

/* One-hot rows of the tokens, to the parties. */
static enum base_status give(struct eng_remote *r, const int32_t *tokens, size_t n, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t vocab = r->shape->vocab;
    for (size_t i = 0; i < n; i++)
        TRY_THAT(tokens[i] >= 0 && (size_t)tokens[i] < vocab, error, BASE_ERR_ARGUMENT,
                 "a token is outside the model's vocabulary of %zu", vocab);
    memset(r->hot, 0, n * vocab * sizeof *r->hot);
    for (size_t i = 0; i < n; i++)
        r->hot[i * vocab + (size_t)tokens[i]] = 1;
    TRY(mpc_client_give(&r->client, r->hot, n * vocab, SEC_ROW_RING, error));
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

/* What the others have said by the time that one has said nothing: a party that ends a run because of its client stays until its peer does. */
static enum base_status hear_others(struct eng_remote *r, int silent, struct base_error *error)
{
    for (int i = 0; i < 3; i++) {
        struct net_link *link = r->client.link[i];
        struct base_error cause = {0};
        if (i == silent || link == NULL)
            continue;
        int64_t timeout = net_link_timeout(link);
        net_link_set_timeout(link, 0);
        enum base_status status = net_link_skip_to(link, ENG_REQUEST_END, &cause);
        net_link_set_timeout(link, timeout);
        if (status != BASE_OK && net_link_said_why(link))
            return base_fail(error, status, "%s", cause.text);
    }
    return BASE_OK;
}

/* Until a party's next word is there. Whoever ends meanwhile says why; a party that is frozen shows at the others first. */
static enum base_status wait_for(struct eng_remote *r, int party, const struct eng_remote_watch *watch, struct base_error *error)
{
    enum { LOOK_MS = 10 };
    enum base_status status = BASE_OK;
    struct net_link *const *link = r->client.link;
    int64_t deadline = base_deadline_after(net_link_timeout(link[party]));
    while (!net_link_wait(link[party], LOOK_MS)) {
        for (int i = 0; i < 3; i++) {
            uint8_t word[8];
            if (i == party || link[i] == NULL || !net_link_lost(link[i]))
                continue;
            BASE_FAIL_RECEIVE("engine.reason.receive");
            TRY(net_link_skip_to(link[i], ENG_REQUEST_END, error));
            TRY(net_link_receive(link[i], ENG_REQUEST_END, word, sizeof word, error));
        }
        TRY_THAT(watch == NULL || watch->wanted(watch->context), error, BASE_ERR_CLOSED, "the step was left");
        if (base_clock_ms() < deadline)
            continue;
        TRY(hear_others(r, party, error));
        return base_fail(error, BASE_ERR_TIMEOUT,
                         "%s: nothing came within %lld ms: check that it runs and that the network lets it through",
                         net_link_peer(link[party]), (long long)net_link_timeout(link[party]));
    }
out:
    return status;
}

/* Until P1 and P2 have begun to answer, or nobody wants it any more. */
static enum base_status wait_for_answer(struct eng_remote *r, bool decoding, const struct eng_remote_watch *watch,
                                        struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (size_t layer = 1; !decoding && layer <= r->shape->layers; layer++) {
        TRY(wait_for(r, 1, watch, error));
        TRY(eng_progress_receive(r->client.link[1], layer, error));
        if (watch != NULL)
            watch->layer(watch->context, layer);
    }
    for (int party = 1; party <= 2; party++)
        TRY(wait_for(r, party, watch, error));
out:
    return status;
}

/* Where the parties' masks of the input come from: two that make their material themselves say so when a slot has opened. */
static enum base_status take_words(struct eng_remote *r, const struct eng_remote_watch *watch, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_text_word word[3];
    if (!r->word_due)
        return BASE_OK;
    for (int party = 1; party <= 2; party++) {
        TRY(wait_for(r, party, watch, error));
        TRY(eng_text_word_receive(r->client.link[party], &word[party], error));
    }
    TRY_THAT(word[1].source == word[2].source, error, BASE_ERR_PEER, "P1 and P2 do not take the material of this text from the same place");
    mpc_stream_init(&r->client.o1, r->client.kern, word[1].key);
    mpc_stream_init(&r->client.o2, r->client.kern, word[2].key);
    r->text_source = word[1].source;
    r->texts_left = word[1].left;
    r->word_due = false;
    if (watch != NULL && watch->source != NULL)
        watch->source(watch->context, r->text_source, r->texts_left);
out:
    base_wipe(word, sizeof word);
    return status;
}

/* Reports end every step; those of P0 have come some steps before. */
static enum base_status take_reports(struct eng_remote *r, struct eng_remote_step *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    uint8_t bytes[ENG_STEP_REPORT_BYTES];
    struct eng_step_report dealt;
    for (int party = 1; party <= 2; party++) {
        BASE_FAIL_RECEIVE("engine.step_report.receive");
        TRY(net_link_receive(r->client.link[party], r->client.step, bytes, sizeof bytes, error));
        eng_step_report_decode(bytes, &ret->report[party]);
    }
    r->client.step++;
    r->steps++;
    /* Two parties without P0 have made it themselves. */
    ret->report[0] = (struct eng_step_report){.online = r->client.link[0] == NULL ? ret->report[1].dealt : 0};
    if (r->client.link[0] == NULL)
        r->dealt_steps = r->steps;
    while (r->client.link[0] != NULL && (r->dealt_steps < r->steps || (r->dealt_steps < r->ordered && net_link_pending(r->client.link[0])))) {
        BASE_FAIL_RECEIVE("engine.dealt_report.receive");
        TRY(net_link_receive(r->client.link[0], r->dealt_steps, bytes, sizeof bytes, error));
        eng_step_report_decode(bytes, &dealt);
        ret->report[0].online += dealt.online;
        ret->report[0].milliseconds += dealt.milliseconds;
        r->dealt_steps++;
    }
out:
    return status;
}

enum base_status eng_remote_run(struct eng_remote *r, const int32_t *tokens, const struct eng_remote_watch *watch,
                                struct eng_remote_step *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t rows, answers, first = 0;
    TRY_THAT(r->planned_count > 0, error, BASE_ERR_INTERNAL, "no order is planned");
    struct eng_order order = r->planned[0];
    for (int party = 1; party <= 2; party++) {
        net_link_set_phase(r->client.link[party], phase_of(r, &order, false));
        TRY(eng_order_send(r->client.link[party], r->given, &order, error));
    }
    r->given++;
    memmove(r->planned, r->planned + 1, --r->planned_count * sizeof *r->planned);
    if (order.kind != ENG_ORDER_STEP) {
        r->word_due = r->word_due || (order.kind == ENG_ORDER_OPEN && r->client.link[0] == NULL && !r->request.prepare);
        apply(r, &order, false);
        return BASE_OK;
    }
    (void)next_slot(order.slots, &first);
    eng_remote_step_size(r, order.slots, &rows, &answers);
    bool decoding = r->slot[first].fed >= r->slot[first].prompt_tokens;
    if (r->request.prepare) {
        apply(r, &order, false);
        TRY(wait_for_answer(r, false, watch, error));
    } else {
        TRY(take_words(r, watch, error));
        TRY(give(r, tokens, rows, error));
        apply(r, &order, false);
        TRY(wait_for_answer(r, decoding, watch, error));
        if (answers > 0)
            TRY(take(r, answers, ret->answer, error));
        TRY(mpc_client_take_guard(&r->client, &ret->is_void, error));
    }
    TRY(take_reports(r, ret, error));
out:
    return status;
}

/* --- one request --------------------------------------------------------------------------------------- */

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

/* The steps of the only slot are known ahead: all that it may still ask for. */
static enum base_status plan_steps(struct eng_remote *r, struct base_error *error)
{
    const struct eng_order order = {.kind = ENG_ORDER_STEP, .slots = 1};
    const struct eng_remote_slot *slot = &r->slot[0];
    enum base_status status = BASE_OK;
    while (eng_remote_has_room(r) && slot->planned < slot->prompt_tokens + slot->new_tokens - 1)
        TRY(eng_remote_plan(r, &order, error));
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
    struct eng_remote_step done = {.answer = ret};
    size_t wanted, answers;
    TRY(plan_steps(r, error));
    eng_remote_step_size(r, 1, &wanted, &answers);
    TRY_THAT(n == wanted && rows == answers, error, BASE_ERR_ARGUMENT,
             "a step of %zu rows with %zu answers: the request has %zu and %zu next", n, rows, wanted, answers);
    TRY(eng_remote_run(r, tokens, NULL, &done, error));
    r->is_void = r->is_void || done.is_void;
    if (r->is_void && r->slot[0].fed >= r->slot[0].prompt_tokens)
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
    for (int party = r->client.link[0] == NULL; party < 3; party++)
        sent += net_link_count(r->client.link[party], phase)->payload_bytes;
    return sent;
}

uint64_t eng_remote_sent_to(const struct eng_remote *r, int party)
{
    uint64_t sent = 0;
    for (int phase = 0; r->client.link[party] != NULL && phase < NET_PHASE_COUNT; phase++)
        sent += net_link_count(r->client.link[party], (enum net_phase)phase)->payload_bytes;
    return sent;
}

enum base_status eng_remote_end(struct eng_remote *r, struct eng_usage ret_usage[3], struct base_error *error)
{
    const struct eng_order stop = {.kind = ENG_ORDER_STOP};
    enum base_status status = BASE_OK;
    if (r->client.link[0] == NULL)
        memset(&ret_usage[0], 0, sizeof ret_usage[0]);
    for (int party = r->client.link[0] == NULL; party < 3; party++) {
        net_link_set_phase(r->client.link[party], NET_PHASE_SETUP);
        TRY(eng_order_send(r->client.link[party], party == 0 ? r->ordered : r->given, &stop, error));
    }
    for (int party = r->client.link[0] == NULL; party < 3; party++) {
        uint8_t report[ENG_USAGE_BYTES];
        BASE_FAIL_RECEIVE("engine.report.receive");
        TRY(net_link_skip_to(r->client.link[party], ENG_REQUEST_END, error));
        TRY(net_link_receive(r->client.link[party], ENG_REQUEST_REPORT, report, sizeof report, error));
        eng_usage_decode(report, &ret_usage[party]);
    }
    r->ended = true;
out:
    return status;
}
