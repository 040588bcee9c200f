/* A whole decoder of small odd extents: rows of a prompt, then decode steps, with the weights masked under secret keys too, under every kind of
 * cache policy that scores, chooses and moves rows. What is secret and what is allowed: watched_run.h. The model's numbers before they are masked are public here: making a plan and masking
 * weights is the owner's own work. */
#include "tests/constant_time/secret.h"
#include "tests/constant_time/watched_run.h"
#include "tests/engine/decoder/model_support.h"

enum { STEPS = 4, CONTEXT = 12, MOST = 24 };

struct decoder_run {
    const struct model *model;
    const struct kv_policy *policy;
    struct kv_config config;
    size_t rows[STEPS], steps, prompt, context;
    struct watch watch;
};

static enum base_status program(struct mpc_party *p, const struct trio_job *job)
{
    struct decoder_run *run = (struct decoder_run *)job->context;
    const struct model *m = run->model;
    struct eng_decoder decoder = {0};
    struct eng_decoder_form form = {.shape = m->source.shape, .plan = &m->plan, .weights = &m->weights[p->role], .gates = &m->gates,
                                    .policy = run->policy, .config = run->config, .context = run->context, .chunk = run->rows[0]};
    struct mpc_wire hot[STEPS];
    struct eng_logits out;
    enum base_status status = BASE_OK;
    watch_party(p, &run->watch);
    TRY(eng_decoder_init(&decoder, p->role, form, &p->error));
    TRY(eng_decoder_begin(&decoder, p, run->prompt, run->context - run->prompt, &p->error));
    for (size_t s = 0; s < run->steps; s++)
        hot[s] = watch_input(p, job, s);
    for (size_t s = 0; s < run->steps; s++)
        TRY(eng_decoder_step(&decoder, p, hot[s], run->rows[s], 1, &out));
    TRY(mpc_open_to_client(p, out.logits, MPC_OPEN_LOGITS));
    TRY(mpc_open_to_client(p, out.squares, MPC_OPEN_FINAL_SQUARES));
out:
    eng_decoder_finish(&decoder);
    return status;
}

static bool check_prompt(const char *name, struct decoder_run *run)
{
    struct trio_input inputs[STEPS];
    size_t vocab = run->model->source.shape->vocab, token = 7;
    for (size_t s = 0; s < run->steps; s++) {
        int64_t *hot = must_alloc(run->rows[s] * vocab, sizeof *hot);
        for (size_t i = 0; i < run->rows[s]; i++, token = token * 5 % vocab)
            hot[i * vocab + token] = 1;
        inputs[s] = (struct trio_input){hot, run->rows[s] * vocab, SEC_ROW_RING, 0, 1};
    }
    bool passes = watch_passes(name, (struct trio_job){.program = program, .context = run, .inputs = inputs, .input_count = run->steps,
                                                       .seed = 3}, &run->watch);
    for (size_t s = 0; s < run->steps; s++)
        free((void *)(uintptr_t)inputs[s].x);
    return passes;
}

static bool check(const char *name, struct model_options options)
{
    struct model model;
    struct decoder_run run = {.model = &model, .policy = &kv_policy_full, .rows = {3, 1, 1}, .steps = 3, .prompt = 3, .context = CONTEXT};
    options.context = CONTEXT;
    if (!model_open(&model, name, options))
        return false;
    bool passes = check_prompt(name, &run);
    model_close(&model);
    return passes;
}

static bool check_policies(struct model_options options)
{
    static const char *const policies[] = {"window:sinks=2:window=6", "snapkv:budget=50:window=4", "h2o:keep=10:window=4:every=2", "tova:keep=10:every=2",
                                           "blocks:keep=14:sinks=2:window=4:unit=4:means=1", "bounded:keep=14:sinks=2:window=4:unit=4:chunk=8",
                                           "mpcache:keep=12:unit=2:static=100:share=1:levels=1:heads=0", "select:keep=12:window=4:unit=4:reuse=2:async=1",
                                           "select:keep=12:window=4:unit=4:reuse=2:score=box", "refresh:keep=12:window=4:unit=4:before=4:reuse=1:probe=2"};
    struct model model;
    struct base_error error = {0};
    bool well = true;
    options.context = MOST;
    if (!model_open(&model, "policies", options))
        return false;
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        struct decoder_run run = {.model = &model, .rows = {8, 8, 1, 1}, .steps = 4, .prompt = 16, .context = MOST};
        check_ok(kv_config_parse(policies[i], 0, &run.policy, &run.config, &error), &error, policies[i]);
        well = check_prompt(policies[i], &run) && well;
    }
    model_close(&model);
    return well;
}

int main(int argc, char **argv)
{
    const struct eng_model_shape shape = {.layers = 1, .width = 12, .heads = 3, .kv_heads = 1, .head_dim = 6, .ffn = 13, .vocab = 29,
                                          .context = CONTEXT, .rope_theta = 10000, .norm_eps = 1e-5, .bos = -1, .model_type = "odd"};
    struct eng_model_shape biased = shape;
    if (!can_watch())
        return SKIPPED;
    if (argc > 1 && strcmp(argv[1], "leaks") == 0)
        return PASSED; /* check_gates has controls of these roles */
    biased.activation = ENG_ACTIVATION_GELU;
    biased.qkv_bias = true;
    struct eng_model_shape gpt2 = biased;
    gpt2.linear_bias = gpt2.layer_norm = gpt2.positions = true;
    bool well = check("plain", (struct model_options){.shape = &shape});
    well = check("as GPT-2", (struct model_options){.shape = &gpt2}) && well;
    well = check("thin, folded", (struct model_options){.shape = &biased, .thin = true, .fold = true}) && well;
    struct eng_model_shape room = shape;
    room.context = MOST;
    well = check_policies((struct model_options){.shape = &room}) && well;
    return well ? PASSED : FAILED;
}
