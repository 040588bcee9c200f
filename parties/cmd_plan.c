/* cachet plan: the numeric plan of a model, from calibration text. */
#include "base/memory.h"
#include "engine/cost.h"
#include "engine/weights.h"
#include "parties/command.h"
#include "parties/config.h"
#include "parties/model.h"
#include "parties/options.h"
#include "parties/two.h"

#include <errno.h>
#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What a plan will cost per token, and what the general gates alone would, where they hold: their scores need
 * wider rings, and those of a folded norm less. Two parties alone have no others. */
struct comparison {
    struct mpc_cost chosen, general;
    bool holds;
    enum config_mode mode;
};

/* In mode two-party. */
static enum base_status count_pair(const struct model *model, const struct eng_plan *plan, struct comparison *ret,
                                   struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_plan pair = {0};
    struct eng_cost cost;
    struct pair_maker maker;
    struct eng_decoder_form form = {.shape = &model->shape, .plan = &pair, .policy = &kv_policy_full, .context = (size_t)plan->context, .maker = &maker.of_party};
    party_two_count(&maker);
    TRY(eng_plan_copy(&pair, plan, error));
    eng_plan_set_pair(&pair);
    TRY(eng_plan_check(&pair, error));
    TRY(eng_cost_count(&cost, &form, form.context - 1, NULL, error));
    ret->chosen = cost.decode;
out:
    pair_maker_finish(&maker);
    eng_plan_finish(&pair);
    return status;
}

static enum base_status compare(const struct model *model, const struct eng_plan *plan,
                                struct comparison *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_plan general = {0};
    struct eng_cost cost;
    struct eng_decoder_form form = {
        .shape = &model->shape, .plan = plan, .policy = &kv_policy_full, .context = (size_t)plan->context};
    TRY(eng_plan_copy(&general, plan, error));
    eng_plan_set_general(&general);
    ret->holds = eng_plan_check(&general, NULL) == BASE_OK;
    if (!ret->holds) {
        general.fold = 1;
        ret->holds = eng_plan_check(&general, NULL) == BASE_OK;
    }
    TRY(eng_cost_count(&cost, &form, form.context - 1, NULL, error));
    ret->chosen = cost.decode;
    form.plan = &general;
    if (ret->holds)
        TRY(eng_cost_count(&cost, &form, form.context - 1, NULL, error));
    ret->general = ret->holds ? cost.decode : (struct mpc_cost){0};
out:
    eng_plan_finish(&general);
    return status;
}

/* Heads of a layer that take a range, or that find a maximum. */
static int count_heads(const struct eng_plan *plan, size_t layer, int range, int from)
{
    const struct eng_head_plan *head = eng_plan_heads(plan, layer);
    int count = 0;
    for (int h = 0; h < plan->heads; h++)
        count += (range < 0 || head[h].range == range) && (from < 0 || head[h].from == from);
    return count;
}

static void describe_attention(const struct eng_plan *plan, size_t layer,
                               const struct eng_layer_choice *choice, char ret[128])
{
    const struct eng_layer_plan *l = &plan->layer[layer];
    int at = 0, found = count_heads(plan, layer, -1, ENG_FROM_MAXIMUM);
    if (l->attention != ENG_ATTENTION_CEILINGS) {
        (void)snprintf(ret, 128, "row maximum, scores within %d nats%s", 1 << l->bits[ENG_SCORE],
                       choice->looked ? ": no ceilings hold all heads" : "");
        return;
    }
    at += snprintf(ret, 128, "ceilings, %d heads in %d bits", count_heads(plan, layer, 0, -1),
                   l->range[0].bits);
    if (l->range[1].bits > 0)
        at += snprintf(ret + at, 128 - (size_t)at, ", %d in %d", count_heads(plan, layer, 1, -1),
                       l->range[1].bits);
    if (found > 0)
        at += snprintf(ret + at, 128 - (size_t)at, "; %d find a maximum", found);
    (void)snprintf(ret + at, 128 - (size_t)at, "; headroom %d", l->headroom);
}

static void describe_activation(const struct eng_plan *plan, size_t layer,
                                const struct eng_layer_choice *choice, char ret[64])
{
    enum eng_wave wave = (enum eng_wave)plan->layer[layer].wave;
    if (wave == ENG_WAVE_NONE)
        (void)snprintf(ret, 64, "segments, seen %.1f", choice->largest_gate);
    else
        (void)snprintf(ret, 64, "wave to %.1f, seen %.1f", eng_plan_wave_span(wave), choice->largest_gate);
}

static void print_layers(const struct eng_plan *plan, const struct eng_layer_choice *choices)
{
    (void)printf("%5s  %-12s  %-64s  %s\n", "layer", "scores seen", "attention", "activation");
    for (size_t l = 0; l < plan->layers; l++) {
        char attention[128], activation[64];
        describe_attention(plan, l, &choices[l], attention);
        describe_activation(plan, l, &choices[l], activation);
        (void)printf("%5zu  %7.1f nats  %-64s  %s\n", l, choices[l].largest_score, attention, activation);
    }
}

/* "layer 1 head 0 (0.11)": the KV head with the highest score. */
static void print_best(const struct kv_profile *p, enum kv_head_score score)
{
    size_t best = 0;
    for (size_t i = 1; i < p->layers * p->kv_heads; i++)
        if (p->head[i].score[score] > p->head[best].score[score])
            best = i;
    (void)printf("layer %zu head %zu (%.2f)", best / p->kv_heads, best % p->kv_heads,
                 (double)p->head[best].score[score] / KV_PROFILE_ONE);
}

static void print_profile(const struct kv_profile *p)
{
    if (p->layers == 0) {
        (void)printf(
            "\nthe text is too short for a profile of the heads: policies that read one will be refused\n");
        return;
    }
    (void)printf("\nof %zu KV heads, most attention to what followed the same token before: ",
                 p->layers * p->kv_heads);
    print_best(p, KV_HEAD_INDUCTION);
    (void)printf("; most to that token: ");
    print_best(p, KV_HEAD_ECHO);
    (void)printf("; most of the residual changed by a window: ");
    print_best(p, KV_HEAD_DEVIATION);
    (void)putchar('\n');
}

/* What words smaller than 64 bits save. */
struct saving {
    double percent[KERN_WORDS]; /* of the weights */
    double bytes, bytes_wide;   /* of matrices at P1 or P2, which a decoded token reads once */
    int logit_bits, logit_bits_wide;
};

static struct saving saving_of(const struct model *model, const struct eng_plan *plan)
{
    struct eng_weight_words words = eng_weights_words(&model->shape, plan);
    struct saving s = {.logit_bits = eng_logit_ring(&model->shape, plan),
                       .logit_bits_wide = plan->ring - (plan->fx + plan->fw - ENG_LOGIT_FRACTION)};
    double all = 0;
    for (int w = 0; w < KERN_WORDS; w++) {
        all += (double)words.count[w];
        s.bytes += 2 * (double)words.count[w] * (double)kern_word_bytes((enum kern_word)w);
    }
    for (int w = 0; w < KERN_WORDS; w++)
        s.percent[w] = 100 * (double)words.count[w] / all;
    s.bytes_wide = 2 * all * (double)kern_word_bytes(KERN_WORD_64);
    return s;
}

static void print_saving(const struct saving *s)
{
    (void)printf("weights: %.0f %% in words of 64 bits, %.0f %% of 48, %.0f %% of 32; P1 and P2 keep and, for each token, read %.1f MB "
                 "instead of %.1f: %.0f %% saved; logits travel in %d bits instead of %d\n",
                 s->percent[KERN_WORD_64], s->percent[KERN_WORD_48], s->percent[KERN_WORD_32], s->bytes * 1e-6, s->bytes_wide * 1e-6,
                 100 * (1 - s->bytes / s->bytes_wide), s->logit_bits, s->logit_bits_wide);
}

static json_t *json_of_saving(const struct saving *s)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:i, s:i}", "percent_64", s->percent[KERN_WORD_64], "percent_48", s->percent[KERN_WORD_48],
                     "percent_32", s->percent[KERN_WORD_32], "weight_bytes", s->bytes, "weight_bytes_64", s->bytes_wide, "logit_bits",
                     s->logit_bits, "logit_bits_64", s->logit_bits_wide);
}

static void print_plan(const struct eng_plan *plan, const struct model_plan_report *report,
                       const struct comparison *c, const struct saving *saving, const char *out)
{
    double chosen = (double)(c->chosen.online + c->chosen.offline) * 1e-6,
           general = (double)(c->general.online + c->general.offline) * 1e-6;
    (void)printf("%s: residual %d fraction bits, weights %d, activations %d, context %d; from %zu "
                 "texts of up to %zu tokens\n",
                 out, plan->fx, plan->fw, plan->fu, plan->context, report->texts, report->longest);
    if (report->longest < (size_t)plan->context / 2)
        (void)printf(
            "scores of rows further apart were not seen: give a text of %d tokens or more with --text\n",
            plan->context);
    (void)putchar('\n');
    print_layers(plan, report->choices);
    print_profile(&plan->profile);
    (void)putchar('\n');
    print_saving(saving);
    (void)printf("one token, %d in the cache: %llu rounds, %.2f MB online and %.2f MB %s",
                 plan->context - 1, (unsigned long long)c->chosen.rounds, (double)c->chosen.online * 1e-6,
                 (double)c->chosen.offline * 1e-6, c->mode == CONFIG_TWO_PARTY ? "made between the two\n" : "dealt; ");
    if (c->mode == CONFIG_TWO_PARTY)
        return;
    if (c->holds)
        (void)printf("with general gates alone %llu rounds, %.2f and %.2f MB: %.0f %% saved\n",
                     (unsigned long long)c->general.rounds, (double)c->general.online * 1e-6,
                     (double)c->general.offline * 1e-6, 100 * (1 - chosen / general));
    else
        (void)printf("general gates do not hold these scores in these widths\n");
}

static json_t *json_of_layers(const struct eng_plan *plan, const struct eng_layer_choice *choices)
{
    json_t *layers = json_array();
    for (size_t l = 0; l < plan->layers; l++) {
        char attention[128], activation[64];
        describe_attention(plan, l, &choices[l], attention);
        describe_activation(plan, l, &choices[l], activation);
        (void)json_array_append_new(layers, json_pack("{s:f, s:f, s:s, s:s}", "largest_score",
                                                      choices[l].largest_score, "largest_activation_input",
                                                      choices[l].largest_gate, "attention", attention,
                                                      "activation", activation));
    }
    return layers;
}

static json_t *json_of_cost(struct mpc_cost c)
{
    return json_pack("{s:I, s:I, s:I}", "rounds", (json_int_t)c.rounds, "online_bytes", (json_int_t)c.online,
                     "offline_bytes", (json_int_t)c.offline);
}

static void print_json(const struct eng_plan *plan, const struct model_plan_report *report,
                       const struct comparison *c, const struct saving *saving, const char *out)
{
    json_t *root = json_pack(
        "{s:s, s:s, s:i, s:I, s:I, s:i, s:i, s:i, s:i, s:b, s:b, s:o, s:o, s:o, s:o}", "file", out, "model",
        plan->model, "context", plan->context, "texts", (json_int_t)report->texts, "longest_text",
        (json_int_t)report->longest, "residual_fraction", plan->fx, "weight_fraction", plan->fw,
        "activation_fraction", plan->fu, "rope_fraction", plan->fc, "thin", plan->ring_sv != 0, "fold",
        plan->fold, "layers", json_of_layers(plan, report->choices), "token", json_of_cost(c->chosen),
        "token_general", c->holds ? json_of_cost(c->general) : json_null(), "words", json_of_saving(saving));
    (void)json_object_set_new(root, "mode", json_string(party_config_mode_name(c->mode)));
    (void)json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    (void)putchar('\n');
    json_decref(root);
}

/* A path that cannot be written is said before minutes of calibration, not after. */
static enum base_status check_writable(const char *path, struct base_error *error)
{
    char copy[4096];
    (void)snprintf(copy, sizeof copy, "%s", path);
    const char *asked = access(path, F_OK) == 0 ? path : dirname(copy);
    if (access(asked, W_OK) == 0)
        return BASE_OK;
    return base_fail(error, BASE_ERR_IO, "cannot write the plan to %s: %s", path, strerror(errno));
}

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct model_input input = {0};
    struct model_plan_options plan_options = {.context = 2048};
    const char *out = NULL;
    bool json = false, done = false;
    struct model model = {0};
    struct eng_plan plan = {0};
    struct model_plan_report report = {0};
    struct comparison comparison = {0};
    const char *mode = "three-party";
    const struct option_entry options[] = {
        OPTION_MODEL(&input.path),
        {.name = "shape",
         .value = "NAME",
         .help = "instead: a public shape with synthetic weights",
         .target = &input.shape},
        {.name = "tokenizer",
         .value = "PATH",
         .help = "tokenizer, when it is not where the model is",
         .target = &input.tokenizer},
        {.name = "text",
         .value = "FILE",
         .help = "calibration text; default: calibration.txt of the model directory, else samples of the "
                 "model itself",
         .target = &plan_options.text},
        {.name = "context",
         .value = "N",
         .help = "longest prompt plus answer in tokens (default 2048)",
         .kind = OPTION_COUNT,
         .target = &plan_options.context,
         .low = 2,
         .high = 1 << 20},
        OPTIONS_WIDTHS(&plan_options),
        {.name = "mode",
         .value = "NAME",
         .help = "three-party (default), two-party-with-dealer: the same costs; two-party: general gates alone, and what a token costs there",
         .target = &mode},
        {.name = "out", .value = "FILE", .help = "plan.json to write", .target = &out, .required = true},
        {.name = "json",
         .help = "print an object instead of sentences",
         .kind = OPTION_FLAG,
         .target = &json},
        OPTION_END};
    TRY(options_parse(
        argc, argv,
        "Makes the numeric plan of a model: ring, fraction bits and bound of every wire, and the "
        "gates of every layer. It publishes these numbers and nothing else.",
        NULL, options, &done, error));
    if (done)
        return BASE_OK;
    TRY_THAT(party_config_find_mode(mode, &comparison.mode), error, BASE_ERR_ARGUMENT,
             "--mode is \"%s\": must be three-party, two-party-with-dealer or two-party", mode);
    plan_options.general = plan_options.general || comparison.mode == CONFIG_TWO_PARTY;
    TRY(check_writable(out, error));
    TRY(model_open(&model, input, error));
    TRY(base_alloc(&report.choices, model.shape.layers, sizeof *report.choices, error));
    TRY(model_plan(&model, &plan_options, &plan, &report, error));
    TRY((comparison.mode == CONFIG_TWO_PARTY ? count_pair : compare)(&model, &plan, &comparison, error));
    TRY(eng_plan_write(&plan, out, error));
    struct saving saving = saving_of(&model, &plan);
    (json ? print_json : print_plan)(&plan, &report, &comparison, &saving, out);
out:
    base_free(&report.choices);
    eng_plan_finish(&plan);
    model_close(&model);
    return status;
}

const struct command command_plan = {"plan", "the numeric plan of a model, from calibration text", run,
                                     false};
