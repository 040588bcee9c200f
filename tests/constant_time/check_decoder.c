/* A whole decoder of small odd extents: rows of a prompt, then decode steps, with the weights masked under secret keys too. What is
 * secret and what is allowed: watched_run.h. The model's numbers before they are masked are public here: making a plan and masking
 * weights is the owner's own work. */
#include "tests/constant_time/secret.h"
#include "tests/constant_time/watched_run.h"
#include "tests/engine/decoder/model_support.h"

enum { STEPS = 3, CONTEXT = 12 };

static const size_t rows[STEPS] = {3, 1, 1};

struct decoder_run {
    const struct model *model;
    struct watch watch;
};

static enum base_status program(struct mpc_party *p, const struct trio_job *job)
{
    struct decoder_run *run = (struct decoder_run *)job->context;
    const struct model *m = run->model;
    struct eng_decoder decoder = {0};
    struct eng_decoder_form form = {.shape = m->source.shape, .plan = &m->plan, .weights = &m->weights[p->role], .gates = &m->gates,
                                    .policy = &kv_policy_full, .context = CONTEXT, .chunk = rows[0]};
    struct mpc_wire hot[STEPS];
    struct eng_logits out;
    enum base_status status = BASE_OK;
    watch_party(p, &run->watch);
    TRY(eng_decoder_init(&decoder, p->role, form, &p->error));
    for (size_t s = 0; s < STEPS; s++)
        hot[s] = watch_input(p, job, s);
    for (size_t s = 0; s < STEPS; s++)
        TRY(eng_decoder_step(&decoder, p, hot[s], rows[s], 1, &out));
    TRY(mpc_open_to_client(p, out.logits, MPC_OPEN_LOGITS));
    TRY(mpc_open_to_client(p, out.squares, MPC_OPEN_FINAL_SQUARES));
out:
    eng_decoder_finish(&decoder);
    return status;
}

static bool check(const char *name, struct model_options options)
{
    struct model model;
    struct trio_input inputs[STEPS];
    size_t vocab = options.shape->vocab, token = 7;
    options.context = CONTEXT;
    if (!model_open(&model, name, options))
        return false;
    for (size_t s = 0; s < STEPS; s++) {
        int64_t *hot = must_alloc(rows[s] * vocab, sizeof *hot);
        for (size_t i = 0; i < rows[s]; i++, token = token * 5 % vocab)
            hot[i * vocab + token] = 1;
        inputs[s] = (struct trio_input){hot, rows[s] * vocab, SEC_ROW_RING, 0, 1};
    }
    struct decoder_run run = {.model = &model};
    bool passes = watch_passes(name, (struct trio_job){.program = program, .context = &run, .inputs = inputs, .input_count = STEPS,
                                                       .seed = 3}, &run.watch);
    for (size_t s = 0; s < STEPS; s++)
        free((void *)(uintptr_t)inputs[s].x);
    model_close(&model);
    return passes;
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
    return well ? PASSED : FAILED;
}
