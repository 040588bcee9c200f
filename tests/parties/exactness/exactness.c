/* Exactness and fidelity of a model, measured: three real processes over TCP against the three roles in this
 * process under the same keys (equal bit for bit), against the plaintext twin (every token), and against a
 * float32 run (top-1 agreement, KL divergence).
 *
 *   exactness TEXT MODEL [TOKENIZER]     prints one block of figures; exit code 0: all hold, 1: one does not,
 * 77: no such model
 *
 * The client sees the logits of every row. Twin and float run are fed the tokens that the parties gave, so
 * that one near tie does not end the comparison. */
#include "base/clock.h"
#include "base/memory.h"
#include "engine/local.h"
#include "engine/twin.h"
#include "tests/parties/exactness/deployment.h"
#include "tests/parties/exactness/logits.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PROMPTS = 20, PROMPT = 40, NEW = 64, ROWS = PROMPT + NEW, STRIDE = 17, SKIPPED = 77 };
static const double LEAST_AGREEMENT = 0.995, LARGEST_KL = 2e-5;

struct figures {
    size_t rows, unequal_bits, tokens, tokens_equal, near_ties, share_top, twin_top;
    double share_kl, twin_kl, worst_kl, worst_logit, widest_tie;
    struct eng_phase_usage prefill[3], decode[3];
    struct mpc_cost declared_prefill, declared_decode;
    double decode_seconds;
};

/* Opened integers of one prompt's rows, and the tokens. */
struct record {
    int64_t *logits; /* [ROWS][vocab] */
    int64_t squares[ROWS];
    int32_t tokens[ROWS + 1];
};

struct test {
    struct model model;
    struct eng_plan plan;
    struct eng_gates gates;
    struct deployment deployment;
    struct eng_local *local;
    struct eng_twin twin;
    void *clear_block;
    struct eng_weights clear;
    struct eng_reference *reference;
    struct eng_tokens text;
    struct record shares, local_run, clear_run;
    double *a, *b; /* [ROWS][vocab] */
    float *float_logits;
    struct figures f;
};

/* --- running ------------------------------------------------------------------------------------------- */

/* Prompt, then NEW greedy tokens; with `given` the tokens are those of an earlier run. The last token is not
 * fed. */
static enum base_status feed(struct test *t, const struct eng_backend *backend, struct record *r,
                             const int32_t *given, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t vocab = t->model.shape.vocab;
    for (size_t at = 0; at < ROWS; at++) {
        size_t left = PROMPT - at, n = at >= PROMPT ? 1 : left < backend->chunk ? left : backend->chunk;
        struct eng_answer answer = {.logits = r->logits + at * vocab, .squares = r->squares + at};
        if (given != NULL)
            r->tokens[at + n] = given[at + n];
        TRY(backend->step(backend->context, r->tokens + at, n, n, &answer, error));
        at += n - 1;
        if (at + 1 < PROMPT || given != NULL)
            continue;
        struct eng_answer last = {.logits = r->logits + at * vocab, .squares = r->squares + at};
        eng_normalise_logits(&t->model.shape, &t->plan, &last, 1, t->a);
        r->tokens[at + 1] = logits_largest(t->a, vocab);
    }
out:
    return status;
}

static enum base_status ask(struct test *t, struct net_link *const links[3], size_t which, struct record *r,
                            struct eng_usage usage[3], struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_remote remote = {0};
    struct eng_remote_form form = {.shape = &t->model.shape,
                                   .plan = &t->plan,
                                   .link = {links[0], links[1], links[2]},
                                   .kern = kern_table_select(~0u)};
    struct eng_request request = {.prompt_tokens = PROMPT,
                                  .new_tokens = NEW + 1,
                                  .chunk = (uint32_t)t->deployment.client.chunk,
                                  .mode = ENG_REQUEST_SCORE,
                                  .nonce = {(uint8_t)which},
                                  .key1 = {1, (uint8_t)which},
                                  .key2 = {2, (uint8_t)which}};
    TRY(eng_remote_begin(&remote, &form, &request, true, error));
    struct eng_backend backend = eng_remote_backend(&remote);
    TRY(feed(t, &backend, r, NULL, error));
    TRY(eng_remote_end(&remote, usage, error));
out:
    eng_remote_finish(&remote);
    return status;
}

/* --- judging ------------------------------------------------------------------------------------------- */

static double divergence(const float *reference, const double *logits, size_t n)
{
    double top = -INFINITY, own_top = -INFINITY, sum = 0, own_sum = 0, kl = 0;
    for (size_t i = 0; i < n; i++) {
        top = fmax(top, (double)reference[i]);
        own_top = fmax(own_top, logits[i]);
    }
    for (size_t i = 0; i < n; i++) {
        sum += exp((double)reference[i] - top);
        own_sum += exp(logits[i] - own_top);
    }
    for (size_t i = 0; i < n; i++) {
        double p = (double)reference[i] - top - log(sum), q = logits[i] - own_top - log(own_sum);
        kl += exp(p) * (p - q);
    }
    return kl;
}

static void judge_row(struct test *t, size_t row)
{
    size_t n = t->model.shape.vocab;
    const double *shares = t->a + row * n, *clear = t->b + row * n;
    const float *real = t->float_logits + row * n;
    double kl = divergence(real, shares, n);
    size_t real_best = 0;
    for (size_t i = 0; i < n; i++)
        real_best = real[i] > real[real_best] ? i : real_best;
    t->f.rows++;
    t->f.worst_logit = fmax(t->f.worst_logit, logits_distance(shares, clear, n));
    t->f.share_kl += kl;
    t->f.worst_kl = fmax(t->f.worst_kl, kl);
    t->f.twin_kl += divergence(real, clear, n);
    t->f.share_top += logits_largest(shares, n) == (int32_t)real_best;
    t->f.twin_top += logits_largest(clear, n) == (int32_t)real_best;
    if (row + 1 < PROMPT)
        return;
    bool equal = logits_largest(shares, n) == logits_largest(clear, n);
    t->f.tokens++;
    t->f.tokens_equal += equal;
    t->f.near_ties += !equal && logits_gap(clear, n) < LOGITS_BOUND;
    if (!equal)
        t->f.widest_tie = fmax(t->f.widest_tie, logits_gap(clear, n));
}

static void add_usage(struct figures *f, const struct eng_usage usage[3])
{
    for (int i = 0; i < 3; i++) {
        const struct eng_phase_usage *from[2] = {&usage[i].prefill, &usage[i].decode};
        struct eng_phase_usage *to[2] = {&f->prefill[i], &f->decode[i]};
        for (int phase = 0; phase < 2; phase++) {
            to[phase]->tokens += from[phase]->tokens;
            to[phase]->rounds += from[phase]->rounds;
            to[phase]->online += from[phase]->online;
            to[phase]->offline += from[phase]->offline;
        }
    }
}

static enum base_status run_prompt(struct test *t, size_t which, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t vocab = t->model.shape.vocab;
    struct eng_usage usage[3];
    struct net_link *links[3];
    memcpy(t->shares.tokens, t->text.ids + which * STRIDE, PROMPT * sizeof *t->text.ids);
    memcpy(t->local_run.tokens, t->shares.tokens, sizeof t->shares.tokens);
    memcpy(t->clear_run.tokens, t->shares.tokens, sizeof t->shares.tokens);
    TRY(client_connect(&t->deployment.client, error));
    double start = base_clock_seconds();
    TRY(ask(t, t->deployment.client.link, which, &t->shares, usage, error));
    t->f.decode_seconds += base_clock_seconds() - start;
    for (int i = 0; i < 3; i++)
        net_link_destroy(&t->deployment.client.link[i]);
    add_usage(&t->f, usage);
    TRY(eng_local_start(t->local, links, error));
    TRY(ask(t, links, which, &t->local_run, usage, error));
    TRY(eng_local_wait(t->local, usage, error));
    for (size_t i = 0; i < ROWS * vocab; i++)
        t->f.unequal_bits += t->shares.logits[i] != t->local_run.logits[i];
    for (size_t i = 0; i < ROWS; i++)
        t->f.unequal_bits += t->shares.squares[i] != t->local_run.squares[i];
    struct eng_backend clear = eng_twin_backend(&t->twin);
    eng_twin_reset(&t->twin);
    TRY(feed(t, &clear, &t->clear_run, t->shares.tokens, error));
    eng_reference_reset(t->reference);
    TRY(eng_reference_forward(t->reference, t->shares.tokens, ROWS, t->float_logits, error));
    eng_normalise_logits(&t->model.shape, &t->plan,
                         &(struct eng_answer){.logits = t->shares.logits, .squares = t->shares.squares}, ROWS,
                         t->a);
    eng_normalise_logits(&t->model.shape, &t->plan,
                         &(struct eng_answer){.logits = t->clear_run.logits, .squares = t->clear_run.squares},
                         ROWS, t->b);
    for (size_t row = 0; row < ROWS; row++)
        judge_row(t, row);
out:
    return status;
}

/* What the graph declares for one prompt, from the count role. */
static enum base_status declare(struct test *t, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_weights weights = {0};
    struct eng_decoder decoder = {0};
    struct mpc_party p = {0};
    TRY(eng_weights_init(&weights, MPC_COUNT, &t->model.shape, &t->plan, NULL, error));
    struct eng_decoder_form form = {.shape = &t->model.shape,
                                    .plan = &t->plan,
                                    .weights = &weights,
                                    .gates = &t->gates,
                                    .policy = &kv_policy_full,
                                    .context = (size_t)t->plan.context};
    TRY(eng_decoder_init(&decoder, MPC_COUNT, form, error));
    TRY(mpc_party_init(&p, MPC_COUNT, kern_table_select(0), (size_t)4 << 30, error));
    for (size_t at = 0; at < ROWS;) {
        struct eng_logits out;
        size_t left = PROMPT - at,
               n = at >= PROMPT                ? 1
                   : left < decoder.form.chunk ? left
                                               : decoder.form.chunk,
               mark = base_arena_mark(&p.arena);
        struct mpc_wire hot = mpc_wire_make(&p, n * t->model.shape.vocab, SEC_ROW_RING, 0, 1);
        TRY(eng_decoder_step(&decoder, &p, hot, n, n, &out));
        base_arena_release(&p.arena, mark);
        at += n;
        if (at == PROMPT)
            t->f.declared_prefill = p.declared;
    }
    t->f.declared_decode = (struct mpc_cost){p.declared.rounds - t->f.declared_prefill.rounds,
                                             p.declared.online - t->f.declared_prefill.online,
                                             p.declared.offline - t->f.declared_prefill.offline};
out:
    mpc_party_finish(&p);
    eng_decoder_finish(&decoder);
    eng_weights_finish(&weights);
    return status;
}

/* --- setting up ---------------------------------------------------------------------------------------- */

static enum base_status open_clear(struct test *t, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct kern_table *kern = kern_table_select(~0u);
    struct eng_weight_targets targets = {.kern = kern};
    TRY(base_alloc(&t->clear_block, eng_weights_size(MPC_CLEAR, &t->model.shape, &t->plan), 1, error));
    targets.block[MPC_CLEAR] = t->clear_block;
    TRY(eng_weights_make(&t->model.source, &t->plan, &targets, NULL, error));
    TRY(eng_weights_init(&t->clear, MPC_CLEAR, &t->model.shape, &t->plan, t->clear_block, error));
    struct eng_decoder_form form = {.shape = &t->model.shape,
                                    .plan = &t->plan,
                                    .weights = &t->clear,
                                    .gates = &t->gates,
                                    .policy = &kv_policy_full,
                                    .context = (size_t)t->plan.context};
    TRY(eng_twin_init(&t->twin, form, kern, ENG_REQUEST_SCORE, error));
    TRY(eng_reference_create(&t->reference, &t->model.source, ROWS, error));
    struct eng_local_form local = {.form = form,
                                   .kern = kern,
                                   .key1 = deployment_key1,
                                   .key2 = deployment_key2,
                                   .key12 = deployment_key12};
    for (int i = 0; i < 3; i++)
        local.weights[i] = &t->deployment.share[i].weights;
    TRY(eng_local_create(&t->local, &local, error));
out:
    return status;
}

static enum base_status open_test(struct test *t, const char *model, const char *tokenizer, const char *text,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct model_plan_options options = {.context = ROWS + 1};
    struct eng_tokenizer *reader = NULL;
    TRY(model_open(&t->model, (struct model_input){.path = model, .tokenizer = tokenizer}, error));
    TRY(model_tokenizer(&t->model, &reader, error));
    TRY(model_encode_file(reader, text, true, &t->text, error));
    TRY_THAT(t->text.count >= (PROMPTS - 1) * STRIDE + PROMPT, error, BASE_ERR_ARGUMENT,
             "%s has %zu tokens: too few", text, t->text.count);
    /* Calibrated on the model's own samples or its own calibration text, never on the prompts. */
    TRY(model_plan(&t->model, &options, &t->plan, NULL, error));
    TRY(eng_gates_init(&t->gates, &t->model.shape, &t->plan, error));
    TRY(deployment_start(&t->deployment, &t->model, &t->plan, "full", NULL, error));
    TRY(open_clear(t, error));
    size_t words = ROWS * t->model.shape.vocab;
    TRY(base_alloc(&t->shares.logits, words, sizeof(int64_t), error));
    TRY(base_alloc(&t->local_run.logits, words, sizeof(int64_t), error));
    TRY(base_alloc(&t->clear_run.logits, words, sizeof(int64_t), error));
    TRY(base_alloc(&t->a, words, sizeof *t->a, error));
    TRY(base_alloc(&t->b, words, sizeof *t->b, error));
    TRY(base_alloc(&t->float_logits, words, sizeof *t->float_logits, error));
out:
    eng_tokenizer_close(&reader);
    return status;
}

static void close_test(struct test *t)
{
    eng_local_destroy(&t->local);
    eng_twin_finish(&t->twin);
    eng_weights_finish(&t->clear);
    base_free(&t->clear_block);
    eng_reference_destroy(&t->reference);
    eng_gates_finish(&t->gates);
    eng_plan_finish(&t->plan);
    eng_tokens_finish(&t->text);
    base_free(&t->shares.logits);
    base_free(&t->local_run.logits);
    base_free(&t->clear_run.logits);
    base_free(&t->a);
    base_free(&t->b);
    base_free(&t->float_logits);
    model_close(&t->model);
}

/* --- reporting ----------------------------------------------------------------------------------------- */

static bool line(bool holds, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool line(bool holds, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)printf("  %s ", holds ? "ok " : "BAD");
    (void)vprintf(format, arguments);
    va_end(arguments);
    (void)putchar('\n');
    return holds;
}

static bool costs_line(const char *name, const struct eng_phase_usage u[3], struct mpc_cost one)
{
    uint64_t online = u[1].online + u[2].online;
    bool holds = u[1].rounds == PROMPTS * one.rounds && u[2].rounds == u[1].rounds &&
                 online == PROMPTS * one.online && u[0].offline == PROMPTS * one.offline;
    return line(holds, "%s: measured = declared: %llu rounds, %llu bytes online, %llu bytes dealt", name,
                (unsigned long long)u[1].rounds, (unsigned long long)online,
                (unsigned long long)u[0].offline);
}

static bool report(const struct test *t, const char *name)
{
    const struct figures *f = &t->f;
    double rows = (double)f->rows;
    uint64_t steps = f->decode[1].rounds / (PROMPTS * NEW);
    size_t found = 0, waves = 0;
    for (size_t l = 0; l < t->plan.layers; l++) {
        const struct eng_layer_plan *layer = &t->plan.layer[l];
        found += layer->attention == ENG_ATTENTION_CEILINGS && eng_plan_maximum_range(&t->plan, l) >= 0;
        waves += layer->attention == ENG_ATTENTION_MAXIMUM && layer->wave != ENG_WAVE_NONE;
    }
    bool good = true;
    (void)printf("%s: %d prompts of %d tokens, %d greedy tokens each\n", name, PROMPTS, PROMPT, NEW);
    good &= line(f->unequal_bits == 0,
                 "three processes against three roles in one process: %zu of %zu opened integers differ",
                 f->unequal_bits, f->rows * (t->model.shape.vocab + 1));
    good &= line(f->tokens_equal + f->near_ties == f->tokens,
                 "tokens equal to the twin's: %zu of %zu; others, where the twin's own first two lie within "
                 "%.2f nats: %zu (widest %.4f)",
                 f->tokens_equal, f->tokens, LOGITS_BOUND, f->near_ties, f->widest_tie);
    good &= line(f->worst_logit <= LOGITS_BOUND,
                 "largest difference of a logit, shares against twin: %.4f (bound %.2f)", f->worst_logit,
                 LOGITS_BOUND);
    good &= line(t->twin.party.violations == 0, "values outside a declared range: %llu%s%s",
                 (unsigned long long)t->twin.party.violations,
                 t->twin.party.violation == NULL ? "" : ", first in ",
                 t->twin.party.violation == NULL ? "" : t->twin.party.violation);
    good &= line((double)f->share_top >= LEAST_AGREEMENT * rows,
                 "shares against float32: top-1 %.2f %% of %zu positions", 100 * (double)f->share_top / rows,
                 f->rows);
    good &= line(f->share_kl <= LARGEST_KL * rows, "shares against float32: KL mean %.2e, largest %.2e nats",
                 f->share_kl / rows, f->worst_kl);
    good &= line((double)f->twin_top >= LEAST_AGREEMENT * rows && f->twin_kl <= LARGEST_KL * rows,
                 "twin against float32: top-1 %.2f %%, KL mean %.2e nats", 100 * (double)f->twin_top / rows,
                 f->twin_kl / rows);
    good &=
        line(steps <= 16 * t->plan.layers + 3 + 2 * found + waves,
             "rounds per decode step: %llu; 16 per layer, 2 more in %zu layers that find maxima, 1 in %zu of "
             "general attention, 3 for embedding, head and sampling by the client",
             (unsigned long long)steps, found, waves);
    good &= costs_line("prefill", f->prefill, f->declared_prefill);
    good &= costs_line("decode", f->decode, f->declared_decode);
    (void)printf("      %.1f ms per position over loopback (prompt and answer, logits of every row)\n",
                 1e3 * f->decode_seconds / rows);
    return good;
}

int main(int argc, char **argv)
{
    struct test *t = NULL;
    struct base_error error = {0};
    enum base_status status = BASE_OK;
    struct stat info;
    bool good = false;
    if (argc != 3 && argc != 4) {
        (void)fprintf(stderr, "usage: exactness TEXT MODEL [TOKENIZER]\n");
        return 2;
    }
    if (stat(argv[2], &info) != 0) {
        (void)printf("skipped: %s is not there\n", argv[2]);
        return SKIPPED;
    }
    TRY(base_alloc(&t, 1, sizeof *t, &error));
    status = open_test(t, argv[2], argc == 4 ? argv[3] : NULL, argv[1], &error);
    for (size_t i = 0; i < PROMPTS && status == BASE_OK; i++)
        status = run_prompt(t, i, &error);
    if (status == BASE_OK)
        status = declare(t, &error);
    enum base_status stopped = deployment_stop(&t->deployment, &error);
    TRY(status);
    TRY(stopped);
    good = report(t, argv[2]);
out:
    if (status != BASE_OK)
        (void)fprintf(stderr, "exactness: %s: %s\n", base_status_name(status), error.text);
    if (t != NULL)
        close_test(t);
    base_free(&t);
    return status == BASE_OK && good ? 0 : 1;
}
