#include "bench/measure.h"

#include "base/memory.h"
#include "bench/relay_process.h"
#include "engine/share_files.h"
#include "parties/prepare.h"
#include "parties/two.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PARTIES = 3, STEP_SECONDS = 1800, ENCRYPTING_SECONDS = 3600 };

/* --- the subject --------------------------------------------------------------------------------------- */

/* The first `count` tokens of a text. */
static enum base_status read_prompt(struct bench_subject *s, const struct bench_subject_form *form,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_tokenizer *tokenizer = NULL;
    char beside[ENG_PATH_MAX];
    TRY(eng_path_print(beside, error, "%s/calibration.txt", form->input.path));
    const char *text = form->text != NULL ? form->text : beside;
    TRY_THAT(access(text, R_OK) == 0, error, BASE_ERR_ARGUMENT,
             "cannot read %s: give a text of %zu tokens or more with --text", text, form->context);
    TRY(model_tokenizer(&s->model, &tokenizer, error));
    TRY_THAT(tokenizer != NULL, error, BASE_ERR_ARGUMENT, "%s has no tokenizer beside it: give --tokenizer PATH",
             form->input.path);
    TRY(model_encode_file(tokenizer, text, eng_tokenizer_adds_bos(tokenizer), &s->prompt, error));
    TRY_THAT(s->prompt.count >= form->context, error, BASE_ERR_ARGUMENT,
             "%s has %zu tokens: a context of %zu needs as many", text, s->prompt.count, form->context);
    s->prompt.count = form->context;
out:
    eng_tokenizer_close(&tokenizer);
    return status;
}

static enum base_status make_prompt(struct bench_subject *s, const struct bench_subject_form *form,
                                    struct base_error *error)
{
    if (form->input.path != NULL)
        return read_prompt(s, form, error);
    const struct generation_flags flags = {.max_tokens = form->new_tokens + 1, .top_p = 1};
    return generation_prompt(&flags, NULL, &s->model.shape, form->context + flags.max_tokens, form->context,
                             &s->prompt, error);
}

enum base_status bench_subject_init(struct bench_subject *ret, const struct bench_subject_form *form,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct model_plan_options options = {
        .text = form->input.path != NULL ? form->text : NULL, .context = form->context + form->new_tokens + 1, .general = form->general};
    *ret = (struct bench_subject){.context = form->context, .new_tokens = form->new_tokens, .general = form->general, .mode = form->mode};
    TRY(model_open(&ret->model, form->input, error));
    TRY_THAT(options.context <= ret->model.shape.context, error, BASE_ERR_ARGUMENT,
             "%zu tokens in the cache and %zu more: the model was trained for %zu", form->context,
             form->new_tokens + 1, ret->model.shape.context);
    TRY(make_prompt(ret, form, error));
    TRY(model_plan(&ret->model, &options, &ret->plan, NULL, error));
    TRY(eng_make_temporary(ret->directory, "cachet-bench", error));
    TRY(eng_path_print(ret->set, error, "%s/set", ret->directory));
    TRY(deployment_share(ret->set, &ret->model, &ret->plan, ret->set_id, error));
    return BASE_OK;
out:
    bench_subject_finish(ret);
    return status;
}

void bench_subject_finish(struct bench_subject *s)
{
    if (s->directory[0] != '\0')
        eng_remove_tree(s->directory);
    s->directory[0] = '\0';
    eng_tokens_finish(&s->prompt);
    eng_plan_finish(&s->plan);
    model_close(&s->model);
}

/* --- runs ---------------------------------------------------------------------------------------------- */

/* Everything of one row while it is measured. */
struct bench_run {
    const struct bench_case *bench;
    struct deployment deployment;
    struct relay_process relay;
    double *prompt_seconds, *token_seconds; /* [repeats], [repeats * new_tokens] */
    double *made_prompt, *made_token;       /* two parties: [repeats] each */
    struct prepared first, made;            /* the first text's material, and the last one's */
    size_t prompts, tokens;
    struct generation_run last;
};

bool bench_is_relayed(const char *link)
{
    return strcmp(link, "none") != 0;
}

static bool makes(const struct bench_case *b)
{
    return b->subject->mode == CONFIG_TWO_PARTY;
}

static enum base_status start(struct bench_run *r, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct bench_subject *s = r->bench->subject;
    static const char *const timed[] = {"--time-kernels", NULL}, *const timed_made_up[] = {"--time-kernels", "--made-up-rows", NULL};
    struct deployment_form form = {.model = &s->model,
                                   .plan = &s->plan,
                                   .mode = s->mode,
                                   .spool = makes(r->bench),
                                   .policy = r->bench->policy,
                                   .policy_config = r->bench->config,
                                   .limits = deployment_limits(s->context + s->new_tokens + 1),
                                   .shares = s->set,
                                   .set = s->set_id,
                                   .quiet = true,
                                   .party_flags = r->bench->made_up ? timed_made_up : timed};
    if (bench_is_relayed(r->bench->link))
        form.bind = RELAY_BEHIND;
    /* A chunk of a prompt takes minutes on a slow link. */
    form.limits.step_seconds = STEP_SECONDS;
    if (makes(r->bench)) /* they encrypt their weights for each other first */
        form.limits.connect_seconds = ENCRYPTING_SECONDS;
    TRY(deployment_check_memory(&form, s->context, error));
    TRY(deployment_init(&r->deployment, &form, error));
    if (bench_is_relayed(r->bench->link))
        TRY(relay_process_start_before(&r->relay, r->bench->link, &r->deployment.config, error));
    TRY(deployment_start(&r->deployment, error));
out:
    return status;
}

/* Two parties: the material of the next request. */
static enum base_status prepare(struct bench_run *r, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct bench_subject *s = r->bench->subject;
    const struct prepare_form form = {.prompt_tokens = s->context, .tokens = s->new_tokens + 1, .texts = 1};
    TRY(deployment_connect(&r->deployment, error));
    TRY(prepare_texts(&r->deployment.client, &form, &r->made, error));
    TRY_THAT(!r->made.stopped, error, BASE_ERR_CLOSED, "asked to stop");
    if (r->first.complete == 0)
        r->first = r->made;
out:
    return status;
}

/* One request. */
static enum base_status request(struct bench_run *r, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct bench_subject *s = r->bench->subject;
    struct generation_flags flags = {.max_tokens = s->new_tokens + 1, .top_p = 1, .ignore_eos = true, .json = true};
    if (r->bench->made_up)
        flags.made_up = s->context - 1;
    struct generation_context context = {.flags = &flags,
                                         .shape = &s->model.shape,
                                         .plan = &s->plan,
                                         .policy = r->bench->policy->name,
                                         .mode = party_config_mode_name(s->mode),
                                         .prompt_tokens = s->context};
    if (makes(r->bench))
        TRY(prepare(r, error));
    generation_finish(&r->last);
    r->last = (struct generation_run){0};
    TRY(deployment_connect(&r->deployment, error));
    TRY(deployment_generate(&r->deployment, &context, &s->prompt, &r->last, error));
out:
    return status;
}

static void keep(struct bench_run *r)
{
    const struct eng_generated *g = &r->last.generated;
    r->made_prompt[r->prompts] = (double)r->made.usage[1].prefill.microseconds * 1e-6;
    r->made_token[r->prompts] = (double)r->made.usage[1].decode.microseconds * 1e-6 / (double)r->bench->subject->new_tokens;
    r->prompt_seconds[r->prompts++] = g->prefill_seconds;
    for (size_t i = 0; i < g->decode_steps; i++)
        r->token_seconds[r->tokens++] = g->step_seconds[i];
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static struct bench_spread spread_of(double *seconds, size_t count)
{
    qsort(seconds, count, sizeof *seconds, by_size);
    return (struct bench_spread){.median = (seconds[(count - 1) / 2] + seconds[count / 2]) / 2,
                                 .low = seconds[0],
                                 .high = seconds[count - 1]};
}

/* --- counts -------------------------------------------------------------------------------------------- */

/* A phase of the last request, divided by `tokens`; two parties: with what was made for the first one, which is what cost declares. Later ones begin with COTs
 * that are left over. */
static struct bench_count count_of(const struct bench_run *r, bool decode, double tokens)
{
    const struct generation_run *run = &r->last;
    struct bench_count c = {.client = (double)(decode ? run->sent_decode : run->sent_prefill) / tokens};
    for (int i = 0; i < PARTIES; i++) {
        const struct eng_phase_usage *u = decode ? &run->usage[i].decode : &run->usage[i].prefill;
        c.online += (double)u->online / tokens;
        const struct eng_usage *made = &r->first.usage[i];
        c.dealt += (double)(u->offline + (decode ? made->decode.offline : made->prefill.offline)) / tokens;
        c.client += (double)u->client / tokens;
        if (i == 1)
            c.rounds = (double)u->rounds / tokens;
    }
    return c;
}

static struct bench_party party_of(const struct eng_usage *u, double tokens)
{
    const struct eng_phase_usage *p = &u->prefill, *d = &u->decode;
    if (d->microseconds == 0) /* there is no such party */
        return (struct bench_party){0};
    return (struct bench_party){.prompt_bytes = (double)(p->online + p->offline + p->client),
                                .token_bytes = (double)(d->online + d->offline + d->client) / tokens,
                                .kernel_share = (double)d->kernel_microseconds / (double)d->microseconds,
                                .network_share = (double)d->network_microseconds / (double)d->microseconds,
                                .cpu_seconds = (double)d->cpu_microseconds * 1e-6 / tokens,
                                .peak_memory = (double)u->peak_memory};
}

static enum base_status compare(const char *what, const struct bench_count *counted, struct mpc_cost declared,
                                double tokens, struct base_error *error)
{
    const struct {
        const char *name;
        double counted, declared;
    } all[] = {{"rounds", counted->rounds, (double)declared.rounds / tokens},
               {"bytes online", counted->online, (double)declared.online / tokens},
               {"bytes dealt", counted->dealt, (double)declared.offline / tokens}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (fabs(all[i].counted - all[i].declared) * tokens > 0.5)
            return base_fail(error, BASE_ERR_INTERNAL, "%s: %.1f %s were counted, %.1f declared: one of them is wrong",
                             what, all[i].counted, all[i].name, all[i].declared);
    return BASE_OK;
}

static enum base_status check_declared(const struct bench_run *r, struct bench_row *row, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct bench_subject *s = r->bench->subject;
    double tokens = (double)s->new_tokens,
           client = (double)(row->declared.client.sent + row->declared.client.received) / tokens;
    if (!r->bench->made_up)
        TRY(compare("the prompt", &row->prompt, row->declared.prefill, 1, error));
    TRY(compare("a decoded token", &row->token, row->declared.decode, tokens, error));
    TRY_THAT(fabs(row->token.client - client) * tokens < 0.5, error, BASE_ERR_INTERNAL,
             "a decoded token: %.1f bytes to and from the client were counted, %.1f declared: one of them is wrong",
             row->token.client, client);
out:
    return status;
}

static enum base_status declare(const struct bench_case *b, struct bench_row *row, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct bench_subject *s = b->subject;
    struct pair_maker maker = {0};
    struct eng_plan plan = {0};
    struct eng_decoder_form form = {.shape = &s->model.shape,
                                    .plan = &plan,
                                    .policy = b->policy,
                                    .config = b->config,
                                    .context = s->context + s->new_tokens + 1};
    TRY(eng_plan_copy(&plan, &s->plan, error));
    if (makes(b)) {
        eng_plan_set_pair(&plan);
        party_two_count(&maker);
        form.maker = &maker.of_party;
    }
    TRY(eng_cost_count_steps(&row->declared, &form, s->context, s->new_tokens, NULL, error));
    if (makes(b)) {
        struct pair_cost keys = pair_maker_text_keys(&maker);
        row->keys = (double)(keys.bytes[1] + keys.bytes[2]);
    }
out:
    pair_maker_finish(&maker);
    eng_plan_finish(&plan);
    return status;
}

static enum base_status predict(const struct bench_case *b, struct bench_row *row, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct bench_subject *s = b->subject;
    struct time_link link;
    TRY(time_link_parse(bench_is_relayed(b->link) ? b->link : "loopback", &link, error));
    struct time_work prompt = time_of_prefill(&row->declared, &s->model.shape, s->context),
                     token = time_of_decode(&row->declared, &s->model.shape);
    if (makes(b)) /* before the request */
        prompt.cost.offline = token.cost.offline = 0;
    row->predicted_prompt = time_on_link(&link, &prompt) + time_computing(b->machine, &prompt);
    row->predicted_token =
        (time_on_link(&link, &token) + time_computing(b->machine, &token)) / (double)s->new_tokens;
out:
    return status;
}

/* What crossed the relay over all requests, and what the parties count of them: connections' own words are in the first alone. */
static enum base_status stop_relay(struct bench_run *r, struct bench_row *row, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct relay_total total[RELAY_DEPLOYMENT_MAPS];
    TRY(relay_process_stop(&r->relay, total, error));
    for (int i = 0; i < RELAY_DEPLOYMENT_MAPS; i++)
        row->wire_bytes += (double)(total[i].bytes[0] + total[i].bytes[1]);
    double tokens = (double)r->bench->subject->new_tokens,
           prompt = row->prompt.online + row->prompt.dealt + row->prompt.client,
           token = row->token.online + row->token.dealt + row->token.client;
    row->payload_bytes = (double)(r->bench->warm_ups + r->bench->repeats) * (prompt + tokens * token);
out:
    return status;
}

static enum base_status run_all(struct bench_run *r, struct bench_row *row, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct bench_case *b = r->bench;
    double tokens = (double)b->subject->new_tokens;
    TRY(base_alloc(&r->prompt_seconds, b->repeats, sizeof *r->prompt_seconds, error));
    TRY(base_alloc(&r->token_seconds, b->repeats * b->subject->new_tokens, sizeof *r->token_seconds, error));
    TRY(base_alloc(&r->made_prompt, b->repeats, sizeof *r->made_prompt, error));
    TRY(base_alloc(&r->made_token, b->repeats, sizeof *r->made_token, error));
    TRY(start(r, error));
    for (uint64_t i = 0; i < b->warm_ups + b->repeats; i++) {
        TRY(request(r, error));
        if (i == 0 && b->warm_ups > 0)
            row->first_seconds = r->last.generated.decode_seconds / tokens;
        if (i >= b->warm_ups)
            keep(r);
    }
    row->prompt_seconds = spread_of(r->prompt_seconds, r->prompts);
    row->token_seconds = spread_of(r->token_seconds, r->tokens);
    row->made_prompt = spread_of(r->made_prompt, r->prompts);
    row->made_token = spread_of(r->made_token, r->prompts);
    row->prompt = count_of(r, false, 1);
    row->prompt.dealt -= row->keys; /* they were sent with the first text */
    row->token = count_of(r, true, tokens);
    for (int i = 0; i < PARTIES; i++)
        row->party[i] = party_of(&r->last.usage[i], tokens);
    TRY(check_declared(r, row, error));
    deployment_stop(&r->deployment);
    if (bench_is_relayed(r->bench->link))
        TRY(stop_relay(r, row, error));
out:
    return status;
}

enum base_status bench_measure(struct bench_row *ret, const struct bench_case *bench, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct bench_run *r = NULL;
    struct bench_row row = {0};
    TRY(base_alloc(&r, 1, sizeof *r, error));
    r->bench = bench;
    TRY(declare(bench, &row, error));
    TRY(predict(bench, &row, error));
    TRY(run_all(r, &row, error));
    *ret = row;
out:
    if (r != NULL) {
        deployment_finish(&r->deployment);
        relay_process_kill(&r->relay);
        generation_finish(&r->last);
        base_free(&r->prompt_seconds);
        base_free(&r->token_seconds);
        base_free(&r->made_prompt);
        base_free(&r->made_token);
    }
    base_free(&r);
    return status;
}
