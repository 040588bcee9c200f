/* Whole models on three roles: every wire of prefill chunks and decode steps against the twin on equal inputs, declared against counted
 * cost, schedules, and transcripts. */
#include "tests/engine/decoder/model_support.h"

enum { MAX_STEPS = 8, PROMPT = 24 };

/* One request: rows per step. */
struct request {
    const struct model *model;
    const struct kv_policy *policy;
    struct kv_config config;
    size_t rows[MAX_STEPS];
    size_t steps;
    size_t context, chunk;
};

static enum base_status program(struct mpc_party *p, const struct trio_job *job)
{
    const struct request *r = job->context;
    struct eng_decoder decoder;
    enum base_status status = BASE_OK;
    struct eng_decoder_form form = {.shape = r->model->source.shape, .plan = &r->model->plan, .weights = &r->model->weights[p->role],
                                    .gates = &r->model->gates, .policy = r->policy, .config = r->config, .context = r->context, .chunk = r->chunk};
    TRY(eng_decoder_init(&decoder, p->role, form, &p->error));
    for (size_t s = 0; s < r->steps && status == BASE_OK; s++) {
        struct eng_logits out;
        struct mpc_wire hot = trio_input(p, job, s);
        status = eng_decoder_step(&decoder, p, hot, r->rows[s], 1, &out);
        trio_output(p, out.logits);
    }
    eng_decoder_finish(&decoder);
out:
    return status;
}

static void make_inputs(const struct request *r, uint64_t seed, struct trio_input *inputs)
{
    size_t vocab = r->model->source.shape->vocab;
    for (size_t s = 0; s < r->steps; s++) {
        int64_t *hot = must_alloc(r->rows[s] * vocab, sizeof *hot);
        for (size_t i = 0; i < r->rows[s]; i++)
            hot[i * vocab + trio_random(&seed) % vocab] = 1;
        inputs[s] = (struct trio_input){hot, r->rows[s] * vocab, SEC_ROW_RING, 0, 1};
    }
}

static void run(const struct request *r, uint64_t seed, struct trio *ret, const char *what)
{
    struct trio_input inputs[MAX_STEPS];
    make_inputs(r, seed, inputs);
    check_run(&(struct trio_job){.program = program, .context = r, .inputs = inputs, .input_count = r->steps, .seed = seed, .beside = true,
                                 .arena_size = (size_t)4 << 30},
              ret, what);
    for (size_t s = 0; s < r->steps; s++)
        free((void *)(uintptr_t)inputs[s].x);
    print_message("%s: %zu wires, worst %.2f of what is allowed; %llu rounds, %llu online bytes, %llu dealt bytes\n", what, ret->judged, ret->worst,
                  (unsigned long long)ret->measured[0].rounds, (unsigned long long)ret->measured[0].online,
                  (unsigned long long)ret->measured[0].offline);
}

static void test_keeper(void **state)
{
    struct model model;
    struct trio trio = {0};
    (void)state;
    assert_true(model_open(&model, "models/keeper", (struct model_options){.context = 64}));
    struct request r = {.model = &model, .policy = &kv_policy_full, .rows = {PROMPT, 1, 1}, .steps = 3, .context = 64, .chunk = PROMPT};
    run(&r, 5, &trio, "keeper");
    trio_finish(&trio);
    model_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keeper)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
