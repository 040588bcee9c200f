#include "engine/session_run.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "kernels/timed.h"
#include "mpc/opening.h"
#include "protocols/argmax.h"

#include <string.h>

enum { IDLE_MS = 3600 * 1000, PARTED_MS = 5000, LOOK_MS = 5 };

struct run {
    struct eng_session *session;
    const struct eng_request *request;
    struct eng_usage *usage;
    struct base_error *refusal;
    /* P0: orders that have come while it dealt for others. */
    struct eng_order waiting[2 * ENG_AHEAD];
    size_t waiting_count;
    uint32_t heard;
    bool ends;
    bool cut;      /* P0: a step was left in its middle, and no other one may follow */
    bool behind;   /* the others have gone on without this party: it waits until `until` at most */
    int64_t until; /* on the monotonic clock */
    double last; /* when the last order was done */
    double last_cpu, last_kernels, last_network;
};

/* --- orders -------------------------------------------------------------------------------------------------------- */

enum base_status eng_session_check_slot(const struct eng_session *s, const struct eng_order *o, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct eng_decoder_form *form = &s->slot[0].decoder.form;
    TRY_THAT(o->prompt_tokens >= 1 && o->new_tokens >= 1, error, BASE_ERR_ARGUMENT,
             "a request of %u prompt tokens and %u new ones: both must be 1 or more", o->prompt_tokens, o->new_tokens);
    TRY_THAT((uint64_t)o->prompt_tokens + o->new_tokens <= form->context, error, BASE_ERR_ARGUMENT,
             "%u prompt tokens and %u new ones are more than the context of %zu that the parties were started with",
             o->prompt_tokens, o->new_tokens, form->context);
    TRY_THAT(o->made_up == 0 || (s->made_up_rows && o->made_up < o->prompt_tokens), error, BASE_ERR_ARGUMENT,
             "a request that begins with %u made-up cached rows of %u: parties take such requests, with one row "
             "fewer at most, when they were started with --made-up-rows, and for benchmarks alone", o->made_up, o->prompt_tokens);
    TRY(eng_decoder_allows(form, o->prompt_tokens, o->new_tokens, error));
out:
    return status;
}

/* Ends the run because of its client. */
static void refuse(struct run *run, enum base_status status, const char *text)
{
    (void)base_fail(run->refusal, status, "%s", text);
    run->ends = true;
}

static void hear(struct run *run)
{
    struct base_error cause = {0};
    struct eng_order order;
    enum base_status status = eng_order_receive(run->session->party.client, run->heard, &order, &cause);
    if (status == BASE_ERR_CLOSED) /* by this end, or by the client */
        run->session->party.status = eng_session_check_stop(run->session, &run->session->party.error);
    if (run->session->party.status != BASE_OK)
        return;
    if (status == BASE_ERR_MEMORY) /* this party's own fault, of which the client's other parties would see nothing */
        mpc_fail(&run->session->party, status, "%s", cause.text);
    else if (status != BASE_OK)
        refuse(run, status, cause.text);
    else if (order.kind == ENG_ORDER_STOP)
        run->ends = true;
    else
        run->waiting[run->waiting_count++] = order;
    run->heard += status == BASE_OK;
}

/* P1 and P2 hear nothing in a step but that the client has had enough, or is gone. P0 hears further orders while it deals, and deals until they
 * have left the run, whatever the client says: what it has begun they may still need. */
static bool wants_stop(void *context)
{
    struct run *run = context;
    const struct mpc_party *p = &run->session->party;
    if (mpc_computes(p))
        return net_link_pending(p->client) != 0;
    while (!run->ends && p->status == BASE_OK && run->waiting_count < sizeof run->waiting / sizeof *run->waiting && net_link_pending(p->client))
        hear(run);
    return eng_session_left_behind(run->session);
}

/* Until there is an order, or the run ends. P0 waits no longer than the other parties do, P1 and P2 as for any word of a client; and whoever is
 * left behind waits half as long as the others wait for it at most, so that a client that speaks to some of them alone costs its own link and not theirs.
 * Errors: those that part the parties. */
static enum base_status wait_for_client(struct run *run)
{
    struct eng_session *s = run->session;
    struct mpc_party *p = &s->party;
    enum base_status status = BASE_OK;
    bool deals = p->role == MPC_HELPER;
    run->behind = run->behind && deals;
    if (!run->behind)
        run->until = base_deadline_after(deals ? IDLE_MS : s->idle_ms);
    while (!run->ends) {
        bool late = base_clock_ms() >= run->until;
        if (!run->behind && eng_session_left_behind(s)) {
            run->behind = true;
            run->until = base_deadline_after(deals && s->idle_ms / 2 > PARTED_MS ? PARTED_MS : s->idle_ms / 2);
        }
        if (run->cut)
            run->waiting_count = 0;
        if (run->waiting_count > 0 && !late)
            return BASE_OK;
        TRY(eng_session_look_at_parties(s, &s->party.error));
        TRY(eng_session_check_stop(s, &p->error));
        if (late)
            refuse(run, BASE_ERR_TIMEOUT,
                   run->behind ? "the client has left this party behind the others" : "the client has given no order for too long");
        else if (net_link_wait(p->client, LOOK_MS))
            hear(run);
        TRY(p->status);
    }
out:
    return status;
}

/* The next order, or the end of the run. */
static enum base_status next_order(struct run *run, struct eng_order *ret)
{
    struct mpc_party *p = &run->session->party;
    enum base_status status = BASE_OK;
    TRY(wait_for_client(run));
    if (run->ends)
        return BASE_OK;
    *ret = run->waiting[0];
    memmove(run->waiting, run->waiting + 1, --run->waiting_count * sizeof *run->waiting);
out:
    p->status = status;
    return status;
}

/* --- steps --------------------------------------------------------------------------------------------------------- */

/* The slots of a step: one that reads its prompt, or any number that are past it. */
struct lanes {
    struct eng_slot *slot[ENG_SLOTS];
    struct eng_decoder *decoder[ENG_SLOTS];
    size_t count;
    size_t rows, answers;
    bool decoding;
};

static bool find_lanes(struct run *run, uint32_t slots, struct lanes *ret)
{
    struct eng_session *s = run->session;
    const struct eng_request *r = run->request;
    *ret = (struct lanes){0};
    bool good = slots != 0;
    for (size_t i = 0; i < ENG_SLOTS; i++) {
        if (!(slots >> i & 1))
            continue;
        if (i >= s->slots || !s->slot[i].open)
            return false;
        struct eng_slot *slot = &s->slot[i];
        ret->slot[ret->count] = slot;
        ret->decoder[ret->count++] = &slot->decoder;
        ret->decoding = slot->rows >= slot->prompt_tokens;
        good = good && (ret->decoding ? slot->rows - slot->prompt_tokens + 1 < slot->new_tokens : ret->count == 1);
        if (ret->count > 1)
            good = good && ret->decoding && ret->slot[0]->rows >= ret->slot[0]->prompt_tokens && r->mode == ENG_REQUEST_SAMPLE;
    }
    if (!good || ret->count > s->slot[0].decoder.form.chunk)
        return false;
    size_t left = ret->decoding ? ret->count : ret->slot[0]->prompt_tokens - ret->slot[0]->rows;
    ret->rows = left < r->chunk ? left : r->chunk;
    ret->answers = r->mode == ENG_REQUEST_SCORE ? ret->rows : ret->decoding ? ret->count : left == ret->rows;
    return true;
}

/* The logits or the token of one step, to the client. */
static enum base_status answer(struct run *run, const struct eng_logits *out)
{
    struct mpc_party *p = &run->session->party;
    enum base_status status = BASE_OK;
    if (run->request->mode != ENG_REQUEST_ARGMAX) {
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

static enum base_status compute(struct run *run, const struct lanes *lanes, struct mpc_wire hot, struct eng_logits *ret)
{
    struct eng_session *s = run->session;
    struct mpc_party *p = &s->party;
    enum base_status status = BASE_OK;
    if (lanes->count == 1)
        return eng_decoder_step(lanes->decoder[0], p, hot, lanes->rows, lanes->answers, ret);
    if (s->strands == NULL)
        TRY(mpc_strands_create(&s->strands, s->slots, eng_decoder_lane_size(lanes->decoder[0]), &p->error));
    struct eng_lanes all = {.lane = lanes->decoder, .count = lanes->count, .strands = s->strands};
    TRY(eng_decoder_step_lanes(&all, p, hot, ret));
out:
    return status;
}

/* How things stood before a step. */
struct before {
    struct mpc_cost declared;
    uint64_t sent;
    double seconds, waited;
};

/* What the step was, to the client: P1's and P2's word that it is done, P0's that it is dealt. */
static void report(struct run *run, const struct before *before)
{
    struct mpc_party *p = &run->session->party;
    uint8_t bytes[ENG_STEP_REPORT_BYTES];
    struct eng_step_report r = {.online = eng_session_sent(run->session) - before->sent,
                                .dealt = p->declared.offline - before->declared.offline + run->session->made,
                                .rounds = (uint32_t)(p->declared.rounds - before->declared.rounds),
                                .milliseconds = (uint32_t)((base_clock_seconds() - before->seconds) * 1e3),
                                .waited = (uint32_t)((eng_session_waited(run->session) - before->waited) * 1e3)};
    eng_step_report_encode(&r, bytes);
    mpc_tell_client(p, bytes, sizeof bytes);
}

static void layer_done(void *context, size_t layer)
{
    struct mpc_party *p = context;
    if (eng_progress_send(p->client, layer, NULL) != BASE_OK)
        p->client_lost = true;
}

static enum base_status run_lanes(struct run *run, const struct lanes *lanes)
{
    struct eng_session *s = run->session;
    struct mpc_party *p = &s->party;
    enum base_status status = BASE_OK;
    struct eng_logits out;
    struct before before = {p->declared, eng_session_sent(s), base_clock_seconds(), eng_session_waited(s)};
    size_t mark = base_arena_mark(&p->arena), vocab = s->slot[0].decoder.form.shape->vocab;
    p->layer_done = p->role == MPC_LEFT && !lanes->decoding ? layer_done : NULL;
    p->layer_done_context = p;
    if (!run->request->prepare) {
        struct mpc_wire hot = mpc_input(p, NULL, lanes->rows * vocab, SEC_ROW_RING, 0, 1);
        TRY(compute(run, lanes, hot, &out));
        if (lanes->answers > 0)
            TRY(answer(run, &out));
        /* Also after a step that answers nothing: the client's next rows wait for it. */
        TRY(mpc_open_guard(p));
    }
    report(run, &before);
    for (size_t i = 0; i < lanes->count; i++)
        lanes->slot[i]->rows += (uint32_t)(lanes->decoding ? 1 : lanes->rows);
out:
    base_arena_release(&p->arena, mark);
    return status;
}

/* A step that the client, or its end, cut short is no failure: both computing parties left it at the same place. */
static enum base_status step(struct run *run, const struct eng_order *order)
{
    struct eng_session *s = run->session;
    struct mpc_party *p = &s->party;
    struct lanes lanes;
    if (!find_lanes(run, order->slots, &lanes)) {
        refuse(run, BASE_ERR_PEER, "the client orders a step of slots that are not open, do not go together, or have had all their tokens");
        return BASE_OK;
    }
    struct eng_phase_usage *usage = lanes.decoding ? &run->usage->decode : &run->usage->prefill;
    struct base_error cause = {0};
    enum base_status status = eng_session_make_ahead(s, run->request, lanes.rows, lanes.answers, &cause);
    if (cause.code != BASE_OK) {
        refuse(run, cause.code, cause.text);
        return BASE_OK;
    }
    eng_session_set_phase(s, lanes.decoding ? NET_PHASE_DECODE : NET_PHASE_PREFILL);
    if (status == BASE_OK)
        status = run_lanes(run, &lanes);
    double now = base_clock_seconds(), cpu = base_cpu_seconds();
    usage->microseconds += (uint64_t)((now - run->last) * 1e6);
    usage->cpu_microseconds += eng_whole_milliseconds(cpu - run->last_cpu);
    double kernels = kern_times().seconds, network = eng_session_network_seconds(s);
    usage->kernel_microseconds += eng_whole_milliseconds(kernels - run->last_kernels);
    usage->network_microseconds += eng_whole_milliseconds(network - run->last_network);
    run->last_kernels = kernels;
    run->last_network = network;
    run->last = now;
    run->last_cpu = cpu;
    usage->offline += s->made_sent;
    if (status == BASE_OK) {
        usage->tokens += lanes.rows;
        return BASE_OK;
    }
    if (!p->stopped)
        return status;
    p->status = BASE_OK;
    p->error = (struct base_error){0};
    p->pending_count = 0;
    if (!mpc_computes(p)) {
        run->cut = true;
        return BASE_OK;
    }
    /* Whoever did not see why yet waits for the client's word, or finds that it is gone. */
    status = wait_for_client(run);
    p->status = status;
    if (status == BASE_OK && !run->ends)
        refuse(run, BASE_ERR_PEER, "the client orders more while a step is under way");
    return status;
}

/* --- slots --------------------------------------------------------------------------------------------------------- */

static enum base_status open_slot(struct run *run, size_t i, const struct eng_order *order)
{
    struct eng_session *s = run->session;
    struct eng_slot *slot = &s->slot[i];
    struct base_error cause = {0};
    enum base_status status = eng_session_check_slot(s, order, &cause);
    if (status != BASE_OK || slot->open) {
        refuse(run, status != BASE_OK ? status : BASE_ERR_PEER, status != BASE_OK ? cause.text : "the client opens a slot that is open");
        return BASE_OK;
    }
    uint32_t new_tokens = order->new_tokens;
    TRY(eng_session_open_ahead(s, run->request, order, &new_tokens, &cause));
    if (cause.code != BASE_OK) {
        refuse(run, cause.code, cause.text);
        return BASE_OK;
    }
    slot->open = true;
    slot->prompt_tokens = order->prompt_tokens;
    slot->new_tokens = order->new_tokens;
    slot->rows = order->made_up;
    memcpy(slot->id, order->id, sizeof slot->id);
    s->party.before_round = NULL; /* that of another slot's last step */
    if (s->told != NULL)
        s->told(s->told_context, order);
    if (run->request->prepare)
        return BASE_OK;
    TRY(eng_decoder_begin(&slot->decoder, &s->party, order->prompt_tokens, new_tokens, &s->party.error));
    TRY(eng_decoder_make_up(&slot->decoder, &s->party, order->made_up));
out:
    return status;
}

/* A slot that is not open holds nothing: only this one wipes. */
static void close_slot(struct eng_session *s, size_t i)
{
    struct eng_slot *slot = &s->slot[i];
    struct eng_order order = {.kind = ENG_ORDER_CLOSE, .slots = UINT32_C(1) << i};
    if (!slot->open)
        return;
    memcpy(order.id, slot->id, sizeof order.id);
    if (s->told != NULL)
        s->told(s->told_context, &order);
    slot->open = false;
    eng_decoder_reset(&slot->decoder);
}

static enum base_status obey(struct run *run, const struct eng_order *order)
{
    struct eng_session *s = run->session;
    if (order->kind == ENG_ORDER_STEP)
        return step(run, order);
    size_t i = 0;
    while (i < s->slots && order->slots != UINT32_C(1) << i)
        i++;
    if (i == s->slots) {
        refuse(run, BASE_ERR_PEER, "the client names a slot that this deployment does not have: see limits.slots of the config");
        return BASE_OK;
    }
    if (order->kind == ENG_ORDER_OPEN)
        return open_slot(run, i, order);
    close_slot(s, i);
    return BASE_OK;
}

/* --- the run ------------------------------------------------------------------------------------------------------- */

enum base_status eng_session_run(struct eng_session *s, const struct eng_request *r, struct eng_usage *usage,
                                 struct base_error *ret_refusal)
{
    struct mpc_party *p = &s->party;
    enum base_status status = BASE_OK;
    struct run run = {.session = s,
                      .request = r, .usage = usage,
                      .refusal = ret_refusal,
                      .last = base_clock_seconds(),
                      .last_cpu = base_cpu_seconds(),
                      .last_kernels = kern_times().seconds,
                      .last_network = eng_session_network_seconds(s)};
    struct eng_order order = {.kind = ENG_ORDER_OPEN,
                              .slots = 1,
                              .prompt_tokens = r->prompt_tokens,
                              .new_tokens = r->new_tokens,
                              .made_up = r->made_up};
    memcpy(order.id, r->id, sizeof order.id);
    memset(s->parted, 0, sizeof s->parted);
    p->wants_stop = wants_stop;
    p->wants_stop_context = &run;
    TRY(obey(&run, &order));
    for (;;) {
        TRY(next_order(&run, &order));
        if (run.ends)
            break;
        TRY(obey(&run, &order));
        if (run.ends)
            break;
    }
    TRY(eng_session_part(s));
out:
    for (size_t i = 0; i < s->slots; i++)
        close_slot(s, i);
    p->wants_stop = NULL;
    p->wants_stop_context = NULL;
    return status;
}
