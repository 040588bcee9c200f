/* Prints what the plaintext twin computes on given tokens, for the comparison with the numpy specification.
 *
 *   twin_values MODEL PLAN OUT TOKEN...
 *
 * All tokens but the last three are one prefill chunk, the rest are decode steps; every row gives logits. Lines of OUT, with blanks of
 * labels written as ~; those that end in COUNT are followed by COUNT words of 8 bytes in this machine's order, integers or doubles:
 *   wire STEP LABEL RING FRACTION COUNT    every completed wire, in order of completion
 *   logits STEP COUNT                      what the client would see, and squares likewise; a void answer ends the program
 *   table NAME COUNT                       public tables of the gates, cos and sin
 *   real NAME COUNT                        amplitudes of the waves
 *   reference COUNT                        normalised logits of the float model, [tokens][vocab]
 *   cost STEP LAYER ROUNDS ONLINE OFFLINE  declared by the count role; LAYER -1 is the whole step
 *   violations COUNT */
#include "base/memory.h"
#include "base/realmath.h"
#include "engine/layer.h"
#include "engine/reference.h"
#include "engine/twin.h"
#include "mpc/opening.h"
#include "mpc/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { DECODE_STEPS = 3, COUNT_WORK = 1 << 28, GATE_WORK = 1 << 28 };

struct run {
    FILE *out;
    struct eng_model_file *file;
    struct eng_weight_source source;
    struct eng_plan plan;
    struct eng_gates gates;
    void *block;
    struct eng_weights weights;
    int32_t *tokens;
    size_t count, step;
};

/* --- lines ---------------------------------------------------------------------------------------------------------------------- */

static void print_label(FILE *out, const char *label)
{
    for (; *label != '\0'; label++)
        (void)fputc(*label == ' ' ? '~' : *label, out);
}

static void print_values(FILE *out, const void *words, size_t count)
{
    (void)fprintf(out, " %zu\n", count);
    if (count > 0)
        (void)fwrite(words, sizeof(int64_t), count, out);
}

static void print_table(FILE *out, const char *name, const void *words, size_t count)
{
    (void)fprintf(out, "table %s", name);
    print_values(out, words, count);
}

static void observe(void *context, struct mpc_party *p, const char *label, const struct mpc_wire *wire, double ulp)
{
    const struct run *run = context;
    (void)p;
    (void)ulp;
    (void)fprintf(run->out, "wire %zu ", run->step);
    print_label(run->out, label);
    (void)fprintf(run->out, " %d %d", wire->ring, wire->frac);
    print_values(run->out, wire->x, wire->count);
}

/* --- tables --------------------------------------------------------------------------------------------------------------------- */

static void print_spline(FILE *out, const char *name, const struct sec_spline *spline)
{
    char full[64];
    (void)snprintf(full, sizeof full, "%s.knot", name);
    print_table(out, full, spline->knot, spline->pieces);
    for (int e = 0; e < spline->form.functions; e++) {
        (void)snprintf(full, sizeof full, "%s.value%d", name, e);
        print_table(out, full, spline->value[e], spline->pieces);
        (void)snprintf(full, sizeof full, "%s.slope%d", name, e);
        print_table(out, full, spline->slope[e], spline->pieces);
    }
}

/* X as the parties read it, and e as the twin rounds it. */
static enum base_status print_exp(FILE *out, const struct sec_exp *gate, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t entries = (size_t)1 << gate->k;
    int64_t *rounded = NULL;
    char name[64];
    TRY(base_alloc(&rounded, entries, sizeof *rounded, error));
    double unit = base_power_of_two(-gate->frac), scale = base_power_of_two(gate->fo);
    for (size_t i = 0; i < entries; i++)
        rounded[i] = base_nearest(base_exp(-unit * (double)i) * scale);
    (void)snprintf(name, sizeof name, "exp%d.table", gate->k);
    print_table(out, name, gate->table, entries);
    (void)snprintf(name, sizeof name, "exp%d.rounded", gate->k);
    print_table(out, name, rounded, entries);
out:
    base_free(&rounded);
    return status;
}

/* A gate as the twin reads it, at first, first + 1, ... */
typedef struct mpc_wire (*gate_fn)(struct mpc_party *p, const void *gate, struct mpc_wire x);

static enum base_status print_gate(FILE *out, const char *name, gate_fn eval, const void *gate, int frac, int64_t first, size_t count,
                                   struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct mpc_party p = {0};
    TRY(mpc_party_init(&p, MPC_CLEAR, kern_table_select(0), GATE_WORK, error));
    struct mpc_wire x = mpc_wire_make(&p, count, 64, frac, 62);
    for (size_t i = 0; x.x != NULL && i < count; i++)
        x.x[i] = (uint64_t)(first + (int64_t)i);
    struct mpc_wire y = eval(&p, gate, x);
    status = mpc_round(&p);
    if (status != BASE_OK)
        (void)base_fail(error, status, "%s: %s", name, p.error.text);
    else
        print_table(out, name, y.x, y.count);
out:
    mpc_party_finish(&p);
    return status;
}

static struct mpc_wire eval_exp_two(struct mpc_party *p, const void *gate, struct mpc_wire x)
{
    return sec_exp_two_eval(p, gate, x, "exp");
}

static struct mpc_wire eval_wave(struct mpc_party *p, const void *gate, struct mpc_wire x)
{
    return sec_wave_eval(p, gate, x, "wave");
}

/* e of every Y, and what P1 and P2 multiply words with. */
static enum base_status print_exp_two(FILE *out, const struct sec_exp_two *gate, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t units = (size_t)1 << gate->form.s;
    int64_t *mantissa = NULL, *shift = NULL;
    char name[64], full[80];
    (void)snprintf(name, sizeof name, "two.%d.%.0f.%d", gate->form.s, gate->form.t, gate->form.fo);
    TRY(base_alloc(&mantissa, units, sizeof *mantissa, error));
    TRY(base_alloc(&shift, units, sizeof *shift, error));
    for (size_t i = 0; i < units; i++) {
        mantissa[i] = gate->factor[i].mantissa;
        shift[i] = gate->factor[i].shift;
    }
    (void)snprintf(full, sizeof full, "%s.mantissa", name);
    print_table(out, full, mantissa, units);
    (void)snprintf(full, sizeof full, "%s.shift", name);
    print_table(out, full, shift, units);
    (void)snprintf(full, sizeof full, "%s.e", name);
    TRY(print_gate(out, full, eval_exp_two, gate, ENG_CEILING_SCORE, 0, units, error));
out:
    base_free(&mantissa);
    base_free(&shift);
    return status;
}

static void print_reciprocal_two(FILE *out, size_t layer, const struct sec_reciprocal_two *gate)
{
    static const char *const parts[] = {"knot", "value", "slope"};
    const int64_t *const tables[] = {gate->knot, gate->value, gate->slope};
    char name[64];
    for (int i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "inverse%zu.%s", layer, parts[i]);
        print_table(out, name, tables[i], gate->pieces);
    }
}

/* psi of every g of the span, and what its shares are made of. */
static enum base_status print_wave(FILE *out, int wave, const struct sec_wave *gate, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t period = (size_t)1 << gate->log_period;
    int64_t limit = (int64_t)(gate->span * base_power_of_two(SEC_WAVE_INPUT)), *cosine = NULL, bits[SEC_WAVE_HARMONICS];
    char name[64];
    TRY(base_alloc(&cosine, period, sizeof *cosine, error));
    for (size_t i = 0; i < period; i++)
        cosine[i] = kern_turn_at(gate->cosine, gate->log_period, i);
    for (int n = 0; n < gate->harmonics; n++)
        bits[n] = gate->bits[n];
    (void)snprintf(name, sizeof name, "wave%d.cosine", wave);
    print_table(out, name, cosine, period);
    (void)snprintf(name, sizeof name, "wave%d.bits", wave);
    print_table(out, name, bits, (size_t)gate->harmonics);
    (void)snprintf(name, sizeof name, "wave%d.constant", wave);
    print_table(out, name, &gate->constant, 1);
    (void)fprintf(out, "real wave%d.amplitude", wave);
    print_values(out, gate->amplitude, (size_t)gate->harmonics);
    (void)snprintf(name, sizeof name, "wave%d.psi", wave);
    TRY(print_gate(out, name, eval_wave, gate, SEC_WAVE_INPUT, -limit, 2 * (size_t)limit + 1, error));
out:
    base_free(&cosine);
    return status;
}

static enum base_status print_cheap_tables(FILE *out, const struct eng_plan *plan, const struct eng_gates *g, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (size_t i = 0; i < g->exp_two_count; i++)
        TRY(print_exp_two(out, &g->exp_two[i], error));
    for (size_t l = 0; l < g->layers; l++)
        if (plan->layer[l].attention == ENG_ATTENTION_CEILINGS)
            print_reciprocal_two(out, l, &g->reciprocal_two[g->layer[l].reciprocal_two]);
    for (int w = 0; w < ENG_WAVES; w++)
        if (g->wave[w].cosine != NULL)
            TRY(print_wave(out, w, &g->wave[w], error));
out:
    return status;
}

/* Integers as the decoder makes them for positions 0 to count - 1. */
static enum base_status print_rope(const struct run *run, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t half = run->source.shape->head_dim / 2, count = run->count * half;
    uint64_t *turn = NULL;
    int64_t *cosines = NULL, *sines = NULL;
    TRY(base_alloc(&turn, half, sizeof *turn, error));
    TRY(base_alloc(&cosines, count, sizeof *cosines, error));
    TRY(base_alloc(&sines, count, sizeof *sines, error));
    eng_model_rope_turns(run->source.shape, turn);
    for (size_t i = 0; i < count; i++) {
        double cosine, sine, scale = base_power_of_two(run->plan.fc);
        base_cos_sin(turn[i % half] * (uint64_t)(i / half), &cosine, &sine);
        cosines[i] = base_nearest(cosine * scale);
        sines[i] = base_nearest(sine * scale);
    }
    print_table(run->out, "cos", cosines, count);
    print_table(run->out, "sin", sines, count);
out:
    base_free(&turn);
    base_free(&cosines);
    base_free(&sines);
    return status;
}

static enum base_status print_tables(const struct run *run, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct eng_gates *g = &run->gates;
    static const char *const names[] = {"squared", "attention", "mlp"};
    for (size_t l = 0; l < g->layers; l++) {
        const struct sec_spline *splines[] = {&g->layer[l].norm_squared, &g->layer[l].norm[ENG_NORM_ATTENTION], &g->layer[l].norm[ENG_NORM_MLP]};
        char name[48];
        for (int i = 0; i < 3; i++) {
            (void)snprintf(name, sizeof name, "norm%zu.%s", l, names[i]);
            print_spline(run->out, name, splines[i]);
        }
    }
    for (size_t i = 0; i < g->exp_count; i++)
        TRY(print_exp(run->out, &g->exp[i], error));
    print_spline(run->out, "reciprocal", &g->reciprocal);
    print_table(run->out, "silu", g->activation.coefficient, 3 * ((size_t)1 << g->activation.form.h));
    TRY(print_cheap_tables(run->out, &run->plan, g, error));
    TRY(print_rope(run, error));
out:
    return status;
}

/* --- the twin, the float model, and declared costs ------------------------------------------------------------------------------- */

static struct eng_decoder_form form_of(const struct run *run, const struct eng_weights *weights)
{
    return (struct eng_decoder_form){.shape = run->source.shape, .plan = &run->plan, .weights = weights, .gates = &run->gates,
                                     .policy = &kv_policy_full, .context = run->count, .chunk = run->count - DECODE_STEPS};
}

static enum base_status run_twin(struct run *run, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_twin twin = {0};
    struct eng_answer answer = {0};
    size_t chunk = run->count - DECODE_STEPS, vocab = run->source.shape->vocab;
    TRY(base_alloc(&answer.logits, chunk * vocab, sizeof *answer.logits, error));
    TRY(base_alloc(&answer.squares, chunk, sizeof *answer.squares, error));
    TRY(eng_twin_init(&twin, form_of(run, &run->weights), kern_table_select(~0u), ENG_REQUEST_SCORE, error));
    twin.party.observe = observe;
    twin.party.observe_context = run;
    struct eng_backend backend = eng_twin_backend(&twin);
    for (size_t at = 0, n = chunk; at < run->count; at += n, n = 1, run->step++) {
        TRY(backend.step(backend.context, run->tokens + at, n, n, &answer, error));
        (void)fprintf(run->out, "logits %zu", run->step);
        print_values(run->out, answer.logits, n * vocab);
        (void)fprintf(run->out, "squares %zu", run->step);
        print_values(run->out, answer.squares, n);
    }
    (void)fprintf(run->out, "violations %" PRIu64 "\n", twin.party.violations);
out:
    eng_twin_finish(&twin);
    base_free(&answer.logits);
    base_free(&answer.squares);
    return status;
}

static enum base_status run_reference(const struct run *run, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_reference *reference = NULL;
    size_t count = run->count * run->source.shape->vocab;
    float *logits = NULL;
    TRY(base_alloc(&logits, count, sizeof *logits, error));
    TRY(eng_reference_create(&reference, &run->source, run->count, error));
    TRY(eng_reference_forward(reference, run->tokens, run->count, logits, error));
    (void)fprintf(run->out, "reference %zu\n", count);
    for (size_t i = 0; i < count; i++) {
        double value = (double)logits[i];
        (void)fwrite(&value, sizeof value, 1, run->out);
    }
out:
    base_free(&logits);
    eng_reference_destroy(&reference);
    return status;
}

static void print_cost(FILE *out, size_t step, long layer, struct mpc_cost before, struct mpc_cost after)
{
    (void)fprintf(out, "cost %zu %ld %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", step, layer, after.rounds - before.rounds,
                  after.online - before.online, after.offline - before.offline);
}

/* One step in the count role: its layers one by one, and the whole. */
static enum base_status count_step(const struct run *run, struct mpc_party *p, struct eng_decoder *layers, struct eng_decoder *whole, size_t step)
{
    enum base_status status = BASE_OK;
    const struct eng_model_shape *shape = run->source.shape;
    const struct eng_plan *plan = &run->plan;
    size_t n = step == 0 ? layers->form.chunk : 1, mark = base_arena_mark(&p->arena);
    uint32_t *slots = mpc_bytes(p, n * sizeof *slots);
    TRY(p->status);
    if (!layers->begun)
        TRY(eng_decoder_begin(layers, p, layers->form.context, 0, &p->error));
    struct mpc_wire x = mpc_wire_make(p, n * shape->width, plan->ring, plan->fx, eng_plan_embedding_bound(plan)), y;
    for (size_t l = 0; l < plan->layers; l++) {
        struct eng_step one = {.decoder = layers, .p = p, .layer = l, .n = n, .first = layers->position, .slots = slots};
        struct mpc_cost before = p->declared;
        TRY(eng_layer_run(&one, x, &y));
        kv_cache_advance(&layers->cache[l], n);
        print_cost(run->out, step, (long)l, before, p->declared);
    }
    layers->position += n;
    struct eng_logits logits;
    struct mpc_cost before = p->declared;
    TRY(eng_decoder_step(whole, p, mpc_input(p, NULL, n * shape->vocab, SEC_ROW_RING, 0, 1), n, n, &logits));
    print_cost(run->out, step, -1, before, p->declared);
out:
    base_arena_release(&p->arena, mark);
    return status;
}

static enum base_status run_count(const struct run *run, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_weights weights = {0};
    struct eng_decoder layers = {0}, whole = {0};
    struct mpc_party p = {0};
    TRY(eng_weights_init(&weights, MPC_COUNT, run->source.shape, &run->plan, NULL, error));
    TRY(eng_decoder_init(&layers, MPC_COUNT, form_of(run, &weights), error));
    TRY(eng_decoder_init(&whole, MPC_COUNT, form_of(run, &weights), error));
    TRY(mpc_party_init(&p, MPC_COUNT, kern_table_select(0), COUNT_WORK, error));
    for (size_t step = 0; step <= DECODE_STEPS; step++) {
        status = count_step(run, &p, &layers, &whole, step);
        if (status != BASE_OK) {
            (void)base_fail(error, status, "%s", p.error.text);
            break;
        }
    }
out:
    mpc_party_finish(&p);
    eng_decoder_finish(&layers);
    eng_decoder_finish(&whole);
    eng_weights_finish(&weights);
    return status;
}

/* --- the program ---------------------------------------------------------------------------------------------------------------- */

static enum base_status open_model(struct run *run, const char *model, const char *plan, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_weight_targets targets = {.key1 = {1}, .key2 = {2}, .kern = kern_table_select(~0u)};
    TRY(eng_model_file_open(&run->file, model, error));
    run->source = eng_weights_of_file(run->file);
    TRY(eng_plan_read(&run->plan, plan, error));
    TRY(eng_gates_init(&run->gates, run->source.shape, &run->plan, error));
    TRY(base_alloc(&run->block, eng_weights_size(MPC_CLEAR, run->source.shape, &run->plan), 1, error));
    targets.block[MPC_CLEAR] = run->block;
    TRY(eng_weights_make(&run->source, &run->plan, &targets, NULL, error));
    TRY(eng_weights_init(&run->weights, MPC_CLEAR, run->source.shape, &run->plan, run->block, error));
out:
    return status;
}

static enum base_status run_all(struct run *run, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(base_alloc(&run->tokens, run->count, sizeof *run->tokens, error));
    for (size_t i = 0; i < run->count; i++)
        run->tokens[i] = (int32_t)strtol(argv[4 + i], NULL, 10);
    TRY(open_model(run, argv[1], argv[2], error));
    run->out = fopen(argv[3], "w");
    TRY_THAT(run->out != NULL, error, BASE_ERR_IO, "cannot write %s", argv[3]);
    TRY(print_tables(run, error));
    TRY(run_twin(run, error));
    TRY(run_reference(run, error));
    TRY(run_count(run, error));
out:
    if (run->out != NULL && fclose(run->out) != 0 && status == BASE_OK)
        status = base_fail(error, BASE_ERR_IO, "cannot finish %s", argv[3]);
    return status;
}

int main(int argc, char **argv)
{
    struct base_error error = {0};
    struct run run = {.count = argc > 4 ? (size_t)argc - 4 : 0};
    if (run.count <= DECODE_STEPS) {
        (void)fprintf(stderr, "usage: twin_values MODEL PLAN OUT TOKEN... (%d tokens at least)\n", DECODE_STEPS + 1);
        return 2;
    }
    enum base_status status = run_all(&run, argv, &error);
    if (status != BASE_OK)
        (void)fprintf(stderr, "twin_values: %s\n", error.text);
    eng_weights_finish(&run.weights);
    base_free_secret(&run.block);
    eng_gates_finish(&run.gates);
    eng_plan_finish(&run.plan);
    eng_model_file_close(&run.file);
    base_free(&run.tokens);
    return base_status_exit_code(status);
}
