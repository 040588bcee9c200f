/* Two parties without P0, token for token: of each policy two real processes over TCP answer prompts, three processes with P0 answer the same ones on a
 * plan of the same calibration, and the plaintext twin of two gives its answer.
 *
 *   two [--prompts N] [--tokens N] [--rows N] [--tokenizer FILE] TEXT MODEL POLICY ...
 *
 * One line of figures per policy; exit code 0: all hold, 1: one does not, 77: no such model. Prompts are places of TEXT, of 12 tokens unless --rows says
 * another number, answers greedy. The twin is fed the tokens that the two parties gave, so that one near tie does not end the comparison: a token that is
 * not the twin's is a near tie where the twin's own first two logits lie closer than rounding moves them. Logits are compared where the rows that stay do not follow from scores: between nearly equal ones rounding may turn a choice
 * (policies.c), and then other rows stay. Those with P0 feed their own. */
#include "base/clock.h"
#include "base/memory.h"
#include "engine/twin.h"
#include "parties/clear.h"
#include "tests/parties/exactness/deployment.h"
#include "tests/parties/exactness/logits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A plan of a shorter context would be calibrated on shorter samples, and know smaller values. */
enum { STRIDE = 17, MOST_TOKENS = 64, MOST_ROWS = 256, LEAST_CONTEXT = 128, SKIPPED = 77 };

struct figures {
    size_t tokens, of_twin, near_ties, of_three;
    double worst_logit, seconds;
    struct eng_phase_usage decode; /* of P1 */
    bool chooses; /* the policy ranks scores */
};

struct test {
    struct model model;
    struct eng_tokens text;
    struct eng_plan plan, pair;
    struct clear_model clear;
    size_t prompts, rows, tokens;
    double *row[2]; /* [vocab], normalised: of the shares, of the twin */
    int64_t *logits[2]; /* [tokens][vocab] */
    int64_t squares[2][MOST_TOKENS];
    struct figures f;
};

/* Greedy; `given`: tokens that are fed in place of its own. */
static enum base_status answer(struct test *t, const struct eng_backend *backend, const int32_t *prompt, const int32_t *given, int which, int32_t *ret,
                               struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t vocab = t->model.shape.vocab, rows = t->rows;
    if (backend->begin != NULL)
        TRY(backend->begin(backend->context, rows, t->tokens, error));
    for (size_t i = 0; i < t->tokens; i++) {
        struct eng_answer opened = {.logits = t->logits[which] + i * vocab, .squares = t->squares[which] + i};
        for (size_t at = 0; i == 0 && at < rows;) {
            size_t n = rows - at < backend->chunk ? rows - at : backend->chunk;
            TRY(backend->step(backend->context, prompt + at, n, at + n == rows, &opened, error));
            at += n;
        }
        if (i > 0)
            TRY(backend->step(backend->context, (given != NULL ? given : ret) + i - 1, 1, 1, &opened, error));
        eng_normalise_logits(&t->model.shape, &t->plan, &opened, 1, t->row[which]);
        ret[i] = logits_largest(t->row[which], vocab);
    }
out:
    return status;
}

static enum base_status ask(struct test *t, struct client *c, const int32_t *prompt, int32_t *ret, struct eng_usage usage[3], struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_remote remote = {0};
    struct eng_remote_form form = {.shape = &c->share.shape, .plan = &c->share.plan, .kern = kern_table_select(~0u)};
    struct eng_request request = {.prompt_tokens = (uint32_t)t->rows, .new_tokens = (uint32_t)t->tokens, .chunk = (uint32_t)c->chunk, .mode = ENG_REQUEST_SAMPLE};
    TRY(client_connect(c, error));
    memcpy(form.link, c->link, sizeof form.link);
    TRY(eng_remote_begin(&remote, &form, &request, false, error));
    struct eng_backend backend = eng_remote_backend(&remote);
    TRY(answer(t, &backend, prompt, NULL, 0, ret, error));
    TRY(eng_remote_end(&remote, usage, error));
out:
    eng_remote_finish(&remote);
    for (int i = 0; i < 3; i++)
        net_link_destroy(&c->link[i]);
    return status;
}

/* The twin, fed what the parties gave. */
static enum base_status judge(struct test *t, struct eng_twin *twin, size_t which, const int32_t *prompt, const int32_t *given, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t vocab = t->model.shape.vocab;
    int32_t own[MOST_TOKENS];
    struct eng_backend backend = eng_twin_backend(twin);
    eng_twin_reset(twin);
    TRY(answer(t, &backend, prompt, given, 1, own, error));
    for (size_t i = 0; i < t->tokens; i++) {
        for (int k = 0; k < 2; k++)
            eng_normalise_logits(&t->model.shape, &t->plan, &(struct eng_answer){.logits = t->logits[k] + i * vocab, .squares = t->squares[k] + i}, 1, t->row[k]);
        double gap = logits_gap(t->row[1], vocab), far = logits_distance(t->row[0], t->row[1], vocab);
        t->f.tokens++;
        t->f.of_twin += own[i] == given[i];
        t->f.worst_logit = fmax(t->f.worst_logit, far);
        if (own[i] == given[i])
            continue;
        t->f.near_ties += gap < LOGITS_BOUND;
        (void)printf("  prompt %zu, token %zu: two parties %d, twin %d; the twin's own first two lie %.5f nats apart, the logits differ by up to %.5f\n", which + 1,
                     i + 1, (int)given[i], (int)own[i], gap, far);
    }
out:
    return status;
}

/* All prompts to parties of one mode: [prompts][tokens]. */
static enum base_status ask_all(struct test *t, enum config_mode mode, const char *policy, int32_t *ret, struct eng_twin *twin, struct base_error *error)
{
    enum base_status status = BASE_OK, stopped;
    struct deployment deployment;
    struct eng_usage usage[3];
    status = deployment_start_mode(&deployment, &t->model, &t->plan, mode, policy, NULL, error);
    for (size_t i = 0; i < t->prompts && status == BASE_OK; i++) {
        const int32_t *prompt = t->text.ids + i * STRIDE;
        double start = base_clock_seconds();
        status = ask(t, &deployment.client, prompt, ret + i * t->tokens, usage, error);
        if (status != BASE_OK || twin == NULL)
            continue;
        t->f.seconds += base_clock_seconds() - start;
        t->f.decode = usage[1].decode;
        status = judge(t, twin, i, prompt, ret + i * t->tokens, error);
    }
    stopped = deployment_stop(&deployment, error);
    return status != BASE_OK ? status : stopped;
}

static bool report(const struct test *t, const char *policy, const struct eng_twin *twin)
{
    const struct figures *f = &t->f;
    bool good = f->of_twin + f->near_ties == f->tokens && (f->chooses || f->worst_logit <= LOGITS_BOUND) && twin->party.violations == 0;
    size_t steps = t->tokens - 1;
    if (twin->party.violations > 0)
        (void)printf("  %llu values outside a declared range, the first one of %s\n", (unsigned long long)twin->party.violations, twin->party.violation);
    (void)printf("%-36s %7zu %6zu %8zu %9zu %9zu %12.5f %8.1f %8.1f %10.2f  %s\n", policy, t->prompts, f->tokens, f->of_twin, f->near_ties, f->of_three, f->worst_logit,
                 f->seconds / (double)t->prompts, steps == 0 ? 0 : (double)f->decode.rounds / (double)steps,
                 steps == 0 ? 0 : (double)f->decode.offline / (double)steps * 1e-6, good ? "ok" : "BAD");
    (void)fflush(stdout);
    return good;
}

static enum base_status run_policy(struct test *t, const char *policy, bool *ret_good, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_twin twin = {0};
    int32_t *two = NULL, *three = NULL;
    size_t all = t->prompts * t->tokens;
    struct eng_decoder_form form = {.shape = &t->model.shape, .plan = &t->pair, .weights = &t->clear.weights, .gates = &t->clear.gates,
                                    .context = (size_t)t->plan.context};
    t->f = (struct figures){0};
    TRY(base_alloc(&two, all, sizeof *two, error));
    TRY(base_alloc(&three, all, sizeof *three, error));
    TRY(kv_config_parse(policy, 0, &form.policy, &form.config, error));
    TRY(eng_twin_init(&twin, form, kern_table_select(~0u), ENG_REQUEST_SAMPLE, error));
    t->f.chooses = twin.decoder.kv.layer[0].evict.keep != 0 || twin.decoder.kv.layer[0].select.units != 0;
    TRY(ask_all(t, CONFIG_TWO_PARTY, policy, two, &twin, error));
    TRY(ask_all(t, CONFIG_THREE_PARTY, policy, three, NULL, error));
    for (size_t i = 0; i < all; i++)
        t->f.of_three += two[i] == three[i];
    *ret_good = report(t, policy, &twin);
out:
    if (status != BASE_OK)
        base_error_prefix(error, "%s", policy);
    eng_twin_finish(&twin);
    base_free(&two);
    base_free(&three);
    return status;
}

/* --- setting up ------------------------------------------------------------------------------------------------------------------- */

static enum base_status read_text(struct test *t, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_tokenizer *tokenizer = NULL;
    TRY(model_tokenizer(&t->model, &tokenizer, error));
    TRY(model_encode_file(tokenizer, path, true, &t->text, error));
    TRY_THAT(t->text.count >= (t->prompts - 1) * STRIDE + t->rows, error, BASE_ERR_RANGE, "%s has %zu tokens: too few for %zu prompts", path, t->text.count, t->prompts);
out:
    eng_tokenizer_close(&tokenizer);
    return status;
}

static enum base_status open_test(struct test *t, struct model_input input, const char *text, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t rows = t->rows + t->tokens;
    struct model_plan_options options = {.context = rows < LEAST_CONTEXT ? LEAST_CONTEXT : rows, .general = true};
    TRY(model_open(&t->model, input, error));
    TRY(read_text(t, text, error));
    TRY(model_plan(&t->model, &options, &t->plan, NULL, error));
    TRY(eng_plan_copy(&t->pair, &t->plan, error));
    eng_plan_set_pair(&t->pair);
    TRY(eng_plan_check(&t->pair, error));
    TRY(clear_open(&t->clear, &t->model, &t->pair, error));
    for (int i = 0; i < 2; i++) {
        TRY(base_alloc(&t->row[i], t->model.shape.vocab, sizeof *t->row[i], error));
        TRY(base_alloc(&t->logits[i], t->tokens * t->model.shape.vocab, sizeof *t->logits[i], error));
    }
out:
    return status;
}

static void close_test(struct test *t)
{
    for (int i = 0; i < 2; i++) {
        base_free(&t->row[i]);
        base_free(&t->logits[i]);
    }
    clear_close(&t->clear);
    eng_plan_finish(&t->pair);
    eng_plan_finish(&t->plan);
    eng_tokens_finish(&t->text);
    model_close(&t->model);
}

static int usage_text(void)
{
    (void)fprintf(stderr, "usage: two [--prompts N] [--tokens N] [--rows N] [--tokenizer FILE] TEXT MODEL POLICY ...\n");
    return 2;
}

/* The value of an option at argv[1], which it takes off. */
static const char *take(int *argc, char ***argv)
{
    const char *value = (*argv)[2];
    *argc -= 2;
    *argv += 2;
    return value;
}

int main(int argc, char **argv)
{
    struct test t = {.prompts = 1, .rows = 12, .tokens = 3};
    struct base_error error = {0};
    enum base_status status = BASE_OK;
    struct model_input input = {0};
    struct stat info;
    bool good = true;
    while (argc > 2 && argv[1][0] == '-') {
        bool known = true;
        if (strcmp(argv[1], "--prompts") == 0)
            t.prompts = strtoul(take(&argc, &argv), NULL, 10);
        else if (strcmp(argv[1], "--tokens") == 0)
            t.tokens = strtoul(take(&argc, &argv), NULL, 10);
        else if (strcmp(argv[1], "--rows") == 0)
            t.rows = strtoul(take(&argc, &argv), NULL, 10);
        else if (strcmp(argv[1], "--tokenizer") == 0)
            input.tokenizer = take(&argc, &argv);
        else
            known = false;
        if (!known)
            return usage_text();
    }
    if (argc < 4 || t.prompts < 1 || t.prompts > 1000 || t.tokens < 1 || t.tokens > MOST_TOKENS || t.rows < 1 || t.rows > MOST_ROWS)
        return usage_text();
    if (stat(argv[2], &info) != 0) {
        (void)printf("skipped: %s is not there\n", argv[2]);
        return SKIPPED;
    }
    input.path = argv[2];
    TRY(open_test(&t, input, argv[1], &error));
    (void)printf("%s, prompts of %zu tokens, %zu greedy tokens each; two processes over TCP, three with P0, the twin fed the tokens of two\n"
                 "%-36s %7s %6s %8s %9s %9s %12s %8s %8s %10s\n",
                 argv[2], t.rows, t.tokens, "policy", "prompts", "tokens", "the twin's", "near ties", "with P0", "logits, nats", "s/prompt", "rounds", "made, MB");
    for (int i = 3; i < argc; i++) {
        bool well = false;
        TRY(run_policy(&t, argv[i], &well, &error));
        good = good && well;
    }
    (void)printf("the twin's, with P0: tokens equal to theirs; near ties: not the twin's, where its own first two lie within %.2f nats; rounds, made: per decoded token\n",
                 LOGITS_BOUND);
out:
    if (status != BASE_OK)
        (void)fprintf(stderr, "two: %s: %s\n", base_status_name(status), error.text);
    close_test(&t);
    return status == BASE_OK && good ? 0 : 1;
}
