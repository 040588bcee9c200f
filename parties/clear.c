#include "parties/clear.h"

#include "base/memory.h"
#include "engine/twin.h"

enum base_status clear_open(struct clear_model *ret, const struct model *model, const struct eng_plan *plan,
                            struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct clear_model clear = {0};
    struct base_progress progress = {0};
    struct eng_weight_targets targets = {.kern = kern_table_select(~0u)};
    TRY(base_alloc(&clear.block, eng_weights_size(MPC_CLEAR, &model->shape, plan), 1, error));
    targets.block[MPC_CLEAR] = clear.block;
    TRY(eng_weights_make(&model->source, plan, &targets, &progress, error));
    TRY(eng_weights_init(&clear.weights, MPC_CLEAR, &model->shape, plan, clear.block, error));
    TRY(eng_gates_init(&clear.gates, &model->shape, plan, error));
    *ret = clear;
    return BASE_OK;
out:
    clear_close(&clear);
    return status;
}

void clear_close(struct clear_model *clear)
{
    eng_gates_finish(&clear->gates);
    eng_weights_finish(&clear->weights);
    base_free_secret(&clear->block);
}

enum base_status clear_generate(const struct clear_form *f, const struct generation_context *context,
                                const struct eng_tokens *prompt, bool live, struct generation_run *ret,
                                struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct clear_model clear = {0};
    struct eng_twin twin = {0};
    TRY(clear_open(&clear, f->model, f->plan, error));
    struct eng_decoder_form form = {.shape = &f->model->shape,
                                    .plan = f->plan,
                                    .weights = &clear.weights,
                                    .gates = &clear.gates,
                                    .policy = f->policy,
                                    .config = f->config,
                                    .context = f->context};
    TRY(eng_twin_init(&twin, form, kern_table_select(~0u),
                      context->flags->inside ? ENG_REQUEST_ARGMAX : ENG_REQUEST_SAMPLE, error));
    struct eng_backend backend = eng_twin_backend(&twin);
    TRY(generation_run(context, &backend, prompt, live, ret, error));
    ret->violations = twin.party.violations;
out:
    eng_twin_finish(&twin);
    clear_close(&clear);
    return status;
}
