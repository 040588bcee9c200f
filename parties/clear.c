#include "parties/clear.h"

#include "base/memory.h"
#include "engine/twin.h"

enum base_status clear_generate(const struct clear_form *f, const struct generation_context *context,
                                const struct eng_tokens *prompt, bool live, struct generation_run *ret,
                                struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct kern_table *kern = kern_table_select(~0u);
    struct eng_weights weights = {0};
    struct eng_gates gates = {0};
    struct eng_twin twin = {0};
    struct base_progress progress = {0};
    struct eng_weight_targets targets = {.kern = kern};
    TRY(base_alloc(&targets.block[MPC_CLEAR], eng_weights_size(MPC_CLEAR, &f->model->shape), 1, error));
    TRY(eng_weights_make(&f->model->source, f->plan, &targets, &progress, error));
    TRY(eng_weights_init(&weights, MPC_CLEAR, &f->model->shape, f->plan, targets.block[MPC_CLEAR], error));
    TRY(eng_gates_init(&gates, &f->model->shape, f->plan, error));
    struct eng_decoder_form form = {.shape = &f->model->shape,
                                    .plan = f->plan,
                                    .weights = &weights,
                                    .gates = &gates,
                                    .policy = f->policy,
                                    .config = f->config,
                                    .context = f->context};
    TRY(eng_twin_init(&twin, form, kern, context->flags->inside ? ENG_REQUEST_ARGMAX : ENG_REQUEST_SAMPLE,
                      error));
    struct eng_backend backend = eng_twin_backend(&twin);
    TRY(generation_run(context, &backend, prompt, live, ret, error));
    ret->violations = twin.party.violations;
out:
    eng_twin_finish(&twin);
    eng_gates_finish(&gates);
    eng_weights_finish(&weights);
    base_free_secret(&targets.block[MPC_CLEAR]);
    return status;
}
