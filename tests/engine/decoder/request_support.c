#include "tests/engine/decoder/request_support.h"

static enum base_status program(struct mpc_party *p, const struct trio_job *job)
{
    const struct request *r = job->context;
    struct eng_decoder decoder;
    enum base_status status = BASE_OK;
    struct eng_decoder_form form = {.shape = r->model->source.shape,
                                    .plan = &r->model->plan,
                                    .weights = &r->model->weights[trio_weights_role(p)],
                                    .gates = &r->model->gates,
                                    .policy = r->policy,
                                    .config = r->config,
                                    .context = r->context,
                                    .chunk = r->chunk};
    struct eng_placed placed = {0};
    struct eng_slot slot;
    struct eng_session session = {.slot = &slot, .slots = 1, .party.role = p->role};
    TRY(eng_decoder_init(&decoder, p->role, form, &p->error));
    slot = (struct eng_slot){.decoder = decoder};
    if (r->device != NULL && (r->only == 0 || r->only == (int)p->role + 1))
        status = eng_place(&placed, r->device, &session, &p->error);
    if (r->prompt != 0 && status == BASE_OK)
        status = eng_decoder_begin(&decoder, p, r->prompt, r->context - r->prompt, &p->error);
    for (size_t s = 0; s < r->steps && status == BASE_OK; s++) {
        struct eng_logits out;
        if (r->watch != NULL)
            r->watch(r, p, s);
        struct mpc_wire hot = trio_input(p, job, s);
        status = eng_decoder_step(&decoder, p, hot, r->rows[s], r->all_logits ? r->rows[s] : 1, &out);
        trio_output(p, out.logits);
    }
    if (r->watch != NULL)
        r->watch(r, p, r->steps);
    eng_placed_finish(&placed);
    eng_decoder_finish(&decoder);
out:
    return status;
}

static void make_inputs(const struct request *r, uint64_t seed, struct trio_input *inputs)
{
    size_t vocab = r->model->source.shape->vocab;
    const int32_t *token = r->model->samples[seed % MODEL_SAMPLES];
    for (size_t s = 0; s < r->steps; s++) {
        int64_t *hot = must_alloc(r->rows[s] * vocab, sizeof *hot);
        for (size_t i = 0; i < r->rows[s]; i++)
            hot[i * vocab + (size_t)*token++] = 1;
        inputs[s] = (struct trio_input){hot, r->rows[s] * vocab, SEC_ROW_RING, 0, 1};
    }
}

enum base_status request_try(const struct request *r, uint64_t seed, struct trio *ret, struct base_error *error)
{
    struct trio_input inputs[REQUEST_STEPS];
    make_inputs(r, seed, inputs);
    const struct trio_job job = {.program = program,
                                 .context = r,
                                 .inputs = inputs,
                                 .input_count = r->steps,
                                 .seed = seed,
                                 .beside = true,
                                 .ahead = r->ahead,
                                 .kern = r->kern,
                                 .only = r->only,
                                 .linear = r->linear,
                                 .arena_size = (size_t)4 << 30};
    enum base_status status = trio_run(&job, ret, error);
    for (size_t s = 0; s < r->steps; s++)
        free((void *)(uintptr_t)inputs[s].x);
    return status;
}

void request_run(const struct request *r, uint64_t seed, struct trio *ret, const char *what)
{
    struct base_error error = {0};
    check_ok(request_try(r, seed, ret, &error), &error, what);
    check_ok(trio_check(ret, &error), &error, what);
    print_message(
        "%s: %zu wires, worst %.2f of what is allowed; %llu rounds, %llu online bytes, %llu dealt bytes\n",
        what, ret->judged, ret->worst, (unsigned long long)ret->measured[0].rounds,
        (unsigned long long)ret->measured[0].online, (unsigned long long)ret->measured[0].offline);
}
