/* Cache policies, token for token: of each, three real processes over TCP answer prompts, and the plaintext
 * twin under the same policy gives its answer.
 *
 *   policies [--prompts N] TEXT MODEL [POLICY ...]      one line of figures per policy; exit code 0: all
 * hold, 1: one does not, 77: no such model
 *
 * Prompts are questions about facts planted in TEXT (parties/eval/task.h), of 512 tokens and more. The twin
 * is fed the tokens that the parties gave, so that one near tie does not end the comparison. It runs twice:
 * alone; and ranking the scores that the parties ranked. The rounding of shares follows their masks, so that
 * a score may be a unit or two off the twin's, and a choice between nearly equal ones may turn: then other
 * rows stay, and tokens may differ. With the same scores no token may differ but by a near tie, and no logit
 * by more than rounding makes of it. */
#include "base/clock.h"
#include "base/memory.h"
#include "base/progress.h"
#include "engine/twin.h"
#include "parties/clear.h"
#include "parties/eval/task.h"
#include "tests/parties/exactness/deployment.h"
#include "tests/parties/exactness/logits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Answers of 32 tokens see the second set of `reuse` 16, and an eviction of `every` 16. Lengths grow by 7, so
 * that units and chunks end anywhere. */
enum { LEAST = 512, STRIDE = 7, LENGTHS = 10, LONGEST = LEAST + STRIDE * (LENGTHS - 1), NEW = 32 };
enum { CONTEXT = LONGEST + NEW, DEPTHS = 5, SKIPPED = 77 };

/* What is checked when nothing is named: every policy, and every mechanism that a key turns on. */
static const char *const policies[] = {"full",
                                       "window:budget=25",
                                       "a-shape",
                                       "razor:budget=25",
                                       "duo:budget=25",
                                       "mpcache:budget=25",
                                       "mpcache:budget=25:static=1",
                                       "snapkv:budget=25:pool=31:window=16",
                                       "pyramidkv:budget=25",
                                       "prefixkv:budget=25",
                                       "h2o:budget=25:every=16",
                                       "tova:budget=25:every=16",
                                       "blocks:budget=25",
                                       "blocks:budget=25:means=1",
                                       "bounded:keep=128:chunk=128",
                                       "select:budget=25:reuse=1",
                                       "select:budget=25",
                                       "select:budget=25:reuse=16",
                                       "select:budget=25:async=1",
                                       "select:budget=25:share=2",
                                       "select:budget=25:unit=4:before=4:window=16",
                                       "select:budget=25:score=box",
                                       "select:budget=25:score=squares:static=50",
                                       "refresh:budget=25",
                                       "refresh:budget=25:reuse=1",
                                       "refresh:budget=25:probe=0:reuse=4"};

/* By which a ranked score may differ from the twin's: what kvcache/scores.c leaves room for. */
enum { SCORE_BOUND = 8 };

/* Scores that choices read: by attention (kvcache/scores.c), and by queries (unit_scores.c). */
static const char *const rankings[] = {"ranked score", "rounded unit score", NULL};

/* One run over one prompt, on shares or in the clear: a backend between eng_generate and the one that
 * computes. It keeps what the steps open. */
struct run {
    struct eng_backend inner;
    const int32_t *given; /* tokens that are fed in place of the run's own; NULL: none */
    size_t vocab, row;
    int64_t *logits; /* [NEW][vocab] */
    int64_t squares[NEW];
    struct eng_generated generated;
};

struct figures {
    size_t prompts, tokens, alone, equal, near_ties;
    double worst_logit, seconds;
    size_t scores, other_scores; /* that the parties ranked, and that the twin would have ranked otherwise */
    int64_t farthest_score;
    uint64_t violations;
    bool chooses; /* the policy ranks scores, so that there must be some */
};

struct test {
    struct model model;
    struct eng_tokenizer *tokenizer;
    struct eval_text text;
    struct eng_plan plan;
    struct clear_model clear;
    struct run shares, twin;
    double *a, *b; /* [NEW][vocab], normalised: of the shares, of the twin */
    struct base_progress progress;
    size_t prompts, which; /* to ask of each policy, and the one under way */
    struct figures f;      /* of the policy under way */
    struct deployment deployment;
    struct base_error ranking; /* of following the parties' scores */
};

/* --- running ------------------------------------------------------------------------------------------- */

static enum base_status begin(void *context, size_t prompt_tokens, size_t new_tokens,
                              struct base_error *error)
{
    const struct run *r = context;
    return r->inner.begin == NULL ? BASE_OK
                                  : r->inner.begin(r->inner.context, prompt_tokens, new_tokens, error);
}

static enum base_status step(void *context, const int32_t *tokens, size_t n, size_t rows,
                             struct eng_answer *ret, struct base_error *error)
{
    struct run *r = context;
    enum base_status status = BASE_OK;
    const int32_t *fed = r->given != NULL && r->row > 0 ? r->given + r->row - 1 : tokens;
    TRY(r->inner.step(r->inner.context, fed, n, rows, ret, error));
    if (rows > 0) {
        memcpy(r->logits + r->row * r->vocab, ret->logits, r->vocab * sizeof *r->logits);
        r->squares[r->row++] = ret->squares[0];
    }
out:
    return status;
}

static void on_prefill(void *context, size_t done, size_t total)
{
    struct test *t = context;
    base_progress_update(&t->progress, t->which * total + done, 0);
}

/* Greedy, NEW tokens. */
static enum base_status generate(struct test *t, struct run *r, struct eng_backend inner,
                                 const int32_t *given, const struct eng_tokens *prompt,
                                 struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_sampler sampler = {0};
    struct eng_backend backend = {
        .begin = begin, .step = step, .context = r, .chunk = inner.chunk, .mode = inner.mode};
    struct eng_generation g = {.backend = &backend,
                               .shape = &t->model.shape,
                               .plan = &t->plan,
                               .sampler = &sampler,
                               .prompt = prompt->ids,
                               .prompt_tokens = prompt->count,
                               .new_tokens = NEW,
                               .ignore_eos = true,
                               .prefill = given == NULL ? on_prefill : NULL,
                               .context = t};
    r->inner = inner;
    r->given = given;
    r->row = 0;
    eng_generated_finish(&r->generated);
    TRY(eng_sampler_init(&sampler, (struct eng_sampling){0}, t->model.shape.vocab, error));
    TRY(eng_generate(&g, &r->generated, error));
out:
    eng_sampler_finish(&sampler);
    return status;
}

static enum base_status ask(struct test *t, struct client *c, const struct eng_tokens *prompt,
                            struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_usage usage[3];
    struct eng_remote remote = {0};
    struct eng_remote_form form = {
        .shape = &c->share.shape, .plan = &c->share.plan, .kern = kern_table_select(~0u)};
    struct eng_request request = {.prompt_tokens = (uint32_t)prompt->count,
                                  .new_tokens = NEW,
                                  .chunk = (uint32_t)c->chunk,
                                  .mode = ENG_REQUEST_SAMPLE};
    TRY(client_connect(c, error));
    memcpy(form.link, c->link, sizeof form.link);
    TRY(eng_remote_begin(&remote, &form, &request, false, error));
    TRY(generate(t, &t->shares, eng_remote_backend(&remote), NULL, prompt, error));
    TRY(eng_remote_end(&remote, usage, error));
out:
    eng_remote_finish(&remote);
    for (int i = 0; i < 3; i++)
        net_link_destroy(&c->link[i]);
    return status;
}

/* --- judging ------------------------------------------------------------------------------------------- */

static void normalise(const struct test *t, struct run *r, double *ret)
{
    eng_normalise_logits(&t->model.shape, &t->plan,
                         &(struct eng_answer){.logits = r->logits, .squares = r->squares}, NEW, ret);
}

/* The twin alone. */
static void judge_alone(struct test *t)
{
    for (size_t i = 0; i < NEW; i++)
        t->f.alone += t->shares.generated.tokens[i] == t->twin.generated.tokens[i];
}

/* The twin that ranks the parties' scores. */
static void judge(struct test *t)
{
    size_t n = t->model.shape.vocab;
    normalise(t, &t->shares, t->a);
    normalise(t, &t->twin, t->b);
    t->f.prompts++;
    for (size_t i = 0; i < NEW; i++) {
        int32_t got = t->shares.generated.tokens[i], want = t->twin.generated.tokens[i];
        double gap = logits_gap(t->b + i * n, n), far = logits_distance(t->a + i * n, t->b + i * n, n);
        t->f.tokens++;
        t->f.equal += got == want;
        t->f.worst_logit = fmax(t->f.worst_logit, far);
        if (got == want)
            continue;
        t->f.near_ties += gap < LOGITS_BOUND;
        base_progress_finish(&t->progress);
        (void)printf("  prompt %zu, token %zu: shares %d, twin %d; the twin's own first two lie %.5f nats "
                     "apart, the logits differ by up to %.5f\n",
                     t->which + 1, i + 1, (int)got, (int)want, gap, far);
    }
}

/* Puts the parties' scores in the place of the twin's. */
static void follow(void *context, struct mpc_party *p, const char *label, const struct mpc_wire *wire,
                   double ulp)
{
    struct test *t = context;
    enum base_status status = BASE_OK;
    int64_t *seen = NULL;
    if (!deployment_watches(&t->deployment, label))
        return;
    TRY(base_alloc(&seen, wire->count, sizeof *seen, &t->ranking));
    TRY(deployment_next_seen(&t->deployment, wire->count, wire->ring, seen, &t->ranking));
    for (size_t i = 0; i < wire->count; i++) {
        int64_t difference = llabs(seen[i] - (int64_t)wire->x[i]);
        t->f.scores++;
        t->f.other_scores += difference != 0;
        t->f.farthest_score = difference > t->f.farthest_score ? difference : t->f.farthest_score;
        wire->x[i] = (uint64_t)seen[i];
    }
out:
    base_free(&seen);
}

/* The facts, where they lie and the length follow from the number. */
static enum base_status make_prompt(const struct test *t, size_t which, struct eval_prompt *ret,
                                    struct base_error *error)
{
    const struct eval_task *const *tasks = eval_task_list();
    size_t count = 0;
    while (tasks[count] != NULL)
        count++;
    struct eval_prompt_form form = {.task = tasks[which % count],
                                    .text = &t->text,
                                    .tokenizer = t->tokenizer,
                                    .length = LEAST + STRIDE * (which % LENGTHS),
                                    .depth = (double)(which / count % DEPTHS) / (DEPTHS - 1),
                                    .seed = which + 1};
    return eval_prompt_make(ret, &form, error);
}

static enum base_status run_twin(struct test *t, struct eng_twin *twin, const struct eng_tokens *prompt,
                                 bool follows, struct base_error *error)
{
    enum base_status status = BASE_OK;
    eng_twin_reset(twin);
    twin->party.observe = follows ? follow : NULL;
    twin->party.observe_context = t;
    TRY(generate(t, &t->twin, eng_twin_backend(twin), t->shares.generated.tokens, prompt, error));
    TRY_THAT(t->ranking.code == BASE_OK, error, t->ranking.code, "%s", t->ranking.text);
out:
    return status;
}

static enum base_status run_prompt(struct test *t, struct eng_twin *twin, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eval_prompt prompt = {0};
    TRY(make_prompt(t, t->which, &prompt, error));
    double start = base_clock_seconds();
    TRY(ask(t, &t->deployment.client, &prompt.tokens, error));
    t->f.seconds += base_clock_seconds() - start;
    TRY(run_twin(t, twin, &prompt.tokens, false, error));
    judge_alone(t);
    TRY(run_twin(t, twin, &prompt.tokens, true, error));
    judge(t);
out:
    if (status != BASE_OK)
        base_error_prefix(error, "prompt %zu", t->which + 1);
    eval_prompt_finish(&prompt);
    return status;
}

static void print_head(const struct test *t)
{
    size_t lengths = t->prompts < LENGTHS ? t->prompts : LENGTHS;
    (void)printf(
        "%s, prompts of %d to %d tokens, %d greedy tokens each; three processes over TCP against the "
        "twin fed the same tokens, alone and with the scores that the parties ranked\n"
        "%-36s %7s %6s %6s %11s %9s %12s %8s %6s %4s %8s\n",
        t->model.input.path, LEAST, LEAST + STRIDE * ((int)lengths - 1), NEW, "policy", "prompts", "tokens",
        "alone", "same scores", "near ties", "logits, nats", "scores", "other", "by", "s/prompt");
    (void)fflush(stdout);
}

static void print_foot(void)
{
    (void)printf(
        "tokens: compared; alone, same scores: equal to the twin's; near ties: not equal, where the "
        "twin's own first two lie within %.2f nats;\n"
        "logits: the largest difference, with the same scores; scores: ranked by the parties; other: "
        "that the twin alone rounds otherwise; by: units at most\n",
        LOGITS_BOUND);
}

static bool report(const struct test *t, const char *policy)
{
    const struct figures *f = &t->f;
    bool good = f->equal + f->near_ties == f->tokens && f->worst_logit <= LOGITS_BOUND &&
                f->farthest_score <= SCORE_BOUND && (f->scores > 0) == f->chooses && f->violations == 0;
    (void)printf("%-36s %7zu %6zu %6zu %11zu %9zu %12.5f %8zu %6zu %4lld %8.1f  %s\n", policy, f->prompts,
                 f->tokens, f->alone, f->equal, f->near_ties, f->worst_logit, f->scores, f->other_scores,
                 (long long)f->farthest_score, f->seconds / (double)f->prompts, good ? "ok" : "BAD");
    if (f->violations > 0)
        (void)printf("  %llu values outside a declared range\n", (unsigned long long)f->violations);
    (void)fflush(stdout);
    return good;
}

static enum base_status run_policy(struct test *t, const char *policy, bool *ret_good,
                                   struct base_error *error)
{
    enum base_status status = BASE_OK, stopped;
    struct eng_twin twin = {0};
    struct eng_decoder_form form = {.shape = &t->model.shape,
                                    .plan = &t->plan,
                                    .weights = &t->clear.weights,
                                    .gates = &t->clear.gates,
                                    .context = CONTEXT};
    t->f = (struct figures){0};
    TRY(kv_config_parse(policy, 0, &form.policy, &form.config, error));
    TRY(eng_twin_init(&twin, form, kern_table_select(~0u), ENG_REQUEST_SAMPLE, error));
    const struct kv_layer_plan *layer = &twin.decoder.kv.layer[0];
    t->f.chooses = layer->evict.keep != 0 || layer->select.units != 0;
    base_progress_start(&t->progress, policy, t->prompts * LEAST);
    status = deployment_start(&t->deployment, &t->model, &t->plan, policy, rankings, error);
    for (t->which = 0; t->which < t->prompts && status == BASE_OK; t->which++)
        status = run_prompt(t, &twin, error);
    base_progress_finish(&t->progress);
    stopped = deployment_stop(&t->deployment, error);
    TRY(status);
    TRY(stopped);
    t->f.violations = twin.party.violations;
    *ret_good = report(t, policy);
out:
    if (status != BASE_OK)
        base_error_prefix(error, "%s", policy);
    eng_twin_finish(&twin);
    return status;
}

/* --- setting up ---------------------------------------------------------------------------------------- */

static enum base_status open_test(struct test *t, const char *text, const char *model,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct model_plan_options options = {.context = CONTEXT};
    struct run *runs[] = {&t->shares, &t->twin};
    TRY(model_open(&t->model, (struct model_input){.path = model}, error));
    TRY(model_tokenizer(&t->model, &t->tokenizer, error));
    TRY(eval_text_open(&t->text, t->tokenizer, text, error));
    TRY(model_plan(&t->model, &options, &t->plan, NULL, error));
    TRY(clear_open(&t->clear, &t->model, &t->plan, error));
    size_t vocab = t->model.shape.vocab;
    for (int i = 0; i < 2; i++) {
        runs[i]->vocab = vocab;
        TRY(base_alloc(&runs[i]->logits, NEW * vocab, sizeof(int64_t), error));
    }
    TRY(base_alloc(&t->a, NEW * vocab, sizeof *t->a, error));
    TRY(base_alloc(&t->b, NEW * vocab, sizeof *t->b, error));
out:
    return status;
}

static void close_test(struct test *t)
{
    struct run *runs[] = {&t->shares, &t->twin};
    for (int i = 0; i < 2; i++) {
        eng_generated_finish(&runs[i]->generated);
        base_free(&runs[i]->logits);
    }
    base_free(&t->a);
    base_free(&t->b);
    clear_close(&t->clear);
    eng_plan_finish(&t->plan);
    eval_text_close(&t->text);
    eng_tokenizer_close(&t->tokenizer);
    model_close(&t->model);
}

static enum base_status run_all(struct test *t, const char *const *names, size_t count, bool *ret_good,
                                struct base_error *error)
{
    enum base_status status = BASE_OK;
    bool good;
    print_head(t);
    *ret_good = true;
    for (size_t i = 0; i < count; i++) {
        TRY(run_policy(t, names[i], &good, error));
        *ret_good = *ret_good && good;
    }
    print_foot();
out:
    return status;
}

int main(int argc, char **argv)
{
    struct test *t = NULL;
    struct base_error error = {0};
    enum base_status status = BASE_OK;
    struct stat info;
    bool good = false;
    size_t prompts = 1;
    char *end = "";
    if (argc > 2 && strcmp(argv[1], "--prompts") == 0) {
        prompts = strtoul(argv[2], &end, 10);
        argc -= 2;
        argv += 2;
    }
    if (argc < 3 || *end != '\0' || prompts < 1 || prompts > 10000) {
        (void)fprintf(stderr, "usage: policies [--prompts N] TEXT MODEL [POLICY ...]\n");
        return 2;
    }
    if (stat(argv[2], &info) != 0) {
        (void)printf("skipped: %s is not there\n", argv[2]);
        return SKIPPED;
    }
    TRY(base_alloc(&t, 1, sizeof *t, &error));
    t->prompts = prompts;
    TRY(open_test(t, argv[1], argv[2], &error));
    if (argc > 3)
        TRY(run_all(t, (const char *const *)argv + 3, (size_t)argc - 3, &good, &error));
    else
        TRY(run_all(t, policies, sizeof policies / sizeof *policies, &good, &error));
out:
    if (status != BASE_OK)
        (void)fprintf(stderr, "policies: %s: %s\n", base_status_name(status), error.text);
    if (t != NULL)
        close_test(t);
    base_free(&t);
    return status == BASE_OK && good ? 0 : 1;
}
