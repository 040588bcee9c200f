#include "engine/cost.h"

#include "base/memory.h"
#include "engine/request.h"
#include "mpc/maker.h"
#include "mpc/opening.h"

#include <string.h>

enum { WORK_SIZE_LOG = 36 };

static struct mpc_cost minus(struct mpc_cost a, struct mpc_cost b)
{
    return (struct mpc_cost){a.rounds - b.rounds, a.online - b.online, a.offline - b.offline};
}

static enum base_status run(struct eng_decoder *d, struct mpc_party *p, size_t n, size_t rows,
                            struct mpc_cost *ret)
{
    struct eng_logits out;
    struct mpc_cost before = p->declared;
    size_t mark = base_arena_mark(&p->arena);
    struct mpc_wire hot = mpc_wire_make(p, n * d->form.shape->vocab, SEC_ROW_RING, 0, 1);
    enum base_status status = eng_decoder_step(d, p, hot, n, rows, &out);
    mpc_make(p, true);
    *ret = mpc_cost_add(*ret, minus(p->declared, before));
    base_arena_release(&p->arena, mark);
    return status;
}

/* `rows` rows in `turns` steps, `answers` of which end in logits. Orders and reports go to and come from all parties; while the prompt is read P1 says where it is. */
static struct eng_client_cost client_cost(const struct eng_decoder_form *form, uint64_t turns, uint64_t rows, uint64_t answers,
                                          bool decoding)
{
    enum { PARTIES = 2, GUARD = 8 };
    const uint64_t all = form->maker != NULL ? PARTIES : PARTIES + 1;
    const struct eng_plan *plan = form->plan;
    uint64_t vocab = form->shape->vocab;
    return (struct eng_client_cost){
        .turns = turns,
        .sent = PARTIES * rows * mpc_bits(vocab, SEC_ROW_RING) + all * turns * ENG_ORDER_BYTES,
        .received = all * turns * ENG_STEP_REPORT_BYTES +
                    (decoding ? 0 : turns * form->shape->layers * ENG_PROGRESS_BYTES) +
                    PARTIES * turns * GUARD +
                    answers * (mpc_open_to_client_bytes(vocab, eng_logit_ring(form->shape, plan)) +
                               mpc_open_to_client_bytes(1, plan->ring - ENG_SQUARES_CUT))};
}

static enum base_status count(struct eng_cost *ret, const struct eng_decoder_form *form, size_t prompt,
                              size_t steps, struct base_progress *progress, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_cost cost = {0};
    struct eng_decoder_form own = *form;
    struct eng_weights weights = {0};
    struct eng_gates gates = {0};
    struct eng_decoder decoder = {0};
    struct mpc_party p = {0};
    TRY(eng_weights_init(&weights, MPC_COUNT, form->shape, form->plan, NULL, error));
    TRY(eng_gates_init(&gates, form->shape, form->plan, error));
    own.weights = &weights;
    own.gates = &gates;
    own.prompt = prompt;
    cost.steps = steps;
    if (steps == 0)
        TRY(eng_decoder_period(&own, prompt, &cost.steps, error));
    TRY(eng_decoder_init(&decoder, MPC_COUNT, own, error));
    TRY(mpc_party_init(&p, MPC_COUNT, kern_table_select(0), (size_t)1 << WORK_SIZE_LOG, error));
    p.maker = form->maker;
    TRY(eng_decoder_begin(&decoder, &p, prompt, own.context - prompt, error));
    cost.chunk = decoder.form.chunk;
    for (size_t at = 0; at < prompt && status == BASE_OK;) {
        size_t n = prompt - at < cost.chunk ? prompt - at : cost.chunk;
        at += n;
        status = run(&decoder, &p, n, at == prompt, &cost.prefill);
        if (progress != NULL)
            base_progress_update(progress, at, 0);
    }
    memcpy(cost.prefill_by_class, decoder.account, sizeof cost.prefill_by_class);
    for (size_t i = 0; i < cost.steps && status == BASE_OK; i++)
        status = run(&decoder, &p, 1, 1, &cost.decode);
    for (int c = 0; c < ENG_CLASSES; c++)
        cost.by_class[c] = minus(decoder.account[c], cost.prefill_by_class[c]);
    if (status != BASE_OK)
        (void)base_fail(error, status, "%s", p.error.text);
    TRY(status);
    cost.layers = minus(cost.decode, cost.by_class[ENG_CLASS_HEAD]);
    memcpy(cost.opened, p.openings, sizeof cost.opened);
    cost.prefill_client = client_cost(form, (prompt + cost.chunk - 1) / cost.chunk, prompt, 1, false);
    cost.client = client_cost(form, cost.steps, cost.steps, cost.steps, true);
    *ret = cost;
out:
    if (form->maker != NULL && form->maker->forget != NULL)
        form->maker->forget(form->maker->context);
    mpc_party_finish(&p);
    eng_decoder_finish(&decoder);
    eng_gates_finish(&gates);
    eng_weights_finish(&weights);
    return status;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* a less `times` of b, not below zero: rows that are fed together share the last byte of an opening. Rounds
 * of b are not those of steps that are fed together. */
static struct mpc_cost beyond(struct mpc_cost a, struct mpc_cost b, uint64_t times, uint64_t steps)
{
    return (struct mpc_cost){less(a.rounds, steps * b.rounds), less(a.online, times * b.online),
                             less(a.offline, times * b.offline)};
}

enum base_status eng_cost_count_steps(struct eng_cost *ret, const struct eng_decoder_form *form,
                                      size_t prompt, size_t steps, struct base_progress *progress,
                                      struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_cost alone;
    struct eng_decoder_form row = *form;
    TRY(count(ret, form, prompt, steps, progress, error));
    row.policy = &kv_policy_full;
    row.context = 2;
    TRY(count(&alone, &row, 1, 0, NULL, error));
    ret->cached = beyond(ret->decode, alone.prefill, ret->steps, ret->steps);
    /* Of a prompt the last row alone has logits. */
    ret->cached_prefill = beyond(minus(ret->prefill, ret->prefill_by_class[ENG_CLASS_HEAD]),
                                 minus(alone.prefill, alone.prefill_by_class[ENG_CLASS_HEAD]), prompt,
                                 (prompt + ret->chunk - 1) / ret->chunk);
out:
    return status;
}

enum base_status eng_cost_count(struct eng_cost *ret, const struct eng_decoder_form *form, size_t prompt,
                                struct base_progress *progress, struct base_error *error)
{
    return eng_cost_count_steps(ret, form, prompt, 0, progress, error);
}

enum base_status eng_cost_margins(struct eng_cost_margins *ret, const struct eng_decoder_form *form,
                                  struct base_error *error)
{
    enum { FEW = 8, MANY = 16, WIDER = 64 };
    enum base_status status = BASE_OK;
    struct eng_model_shape wider = *form->shape;
    struct eng_decoder_form own = *form;
    struct eng_cost few, many, wide;
    double layers = (double)form->shape->layers, heads = (double)form->shape->heads * (MANY - FEW) * layers;
    wider.ffn += WIDER;
    own.policy = &kv_policy_full;
    own.context = ENG_COST_MARGIN_CONTEXT;
    TRY(eng_cost_count(&few, &own, FEW, NULL, error));
    TRY(eng_cost_count(&many, &own, MANY, NULL, error));
    own.shape = &wider;
    TRY(eng_cost_count(&wide, &own, FEW, NULL, error));
    ret->head_online = (double)(many.decode.online - few.decode.online) / heads;
    ret->head_offline = (double)(many.decode.offline - few.decode.offline) / heads;
    ret->element_online = (double)(wide.decode.online - few.decode.online) / (WIDER * layers);
    ret->element_offline = (double)(wide.decode.offline - few.decode.offline) / (WIDER * layers);
out:
    return status;
}
