/* cachet cost: rounds, bytes, memory and network time of a model or shape, without running it; and the
 * cheapest cache policy that is good enough. */
#include "engine/cost.h"
#include "parties/command.h"
#include "parties/config.h"
#include "parties/memory.h"
#include "parties/model.h"
#include "parties/options.h"
#include "parties/policy_flags.h"
#include "parties/recommend.h"
#include "parties/time_model.h"
#include "parties/two.h"
#include "protocols/registry.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct cost {
    struct model_input input;
    struct model_plan_options plan_options;
    const char *plan_path, *mode_name;
    enum config_mode mode;
    struct policy_flags policy;
    char policy_text[KV_CONFIG_TEXT];
    uint64_t score_bits, range_bits, headroom, queue_mib;
    struct time_link link;
    const char *link_name;
    struct time_machine machine;
    bool one_machine;
    const char *recommend, *tasks;
    double floor;
    uint64_t answer;
    bool json, gates;
    bool uniform; /* the policy reads a profile of heads, and a shape has none */
};

static enum base_status make_plan(const struct cost *o, const struct model *model, struct eng_plan *ret,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    if (o->plan_path != NULL)
        return eng_plan_read(ret, o->plan_path, error);
    if (o->input.path != NULL)
        return model_plan(model, &o->plan_options, ret, NULL, error);
    TRY(eng_plan_init(ret, model->shape.layers, model->shape.heads, o->plan_options.context, error));
    if (o->plan_options.thin)
        eng_plan_set_thin(ret);
    TRY(kv_profile_init_uniform(&ret->profile, model->shape.layers, model->shape.kv_heads, error));
    ret->fold = o->plan_options.fold || model->shape.qkv_bias;
    eng_plan_set_typical(ret, model->shape.width, model->shape.norm_eps, (int)o->score_bits);
    if (!o->plan_options.general && o->mode != CONFIG_TWO_PARTY)
        eng_plan_set_cheap(ret, (int)o->range_bits, (int)o->headroom);
    TRY(eng_plan_check(ret, error));
out:
    return status;
}

/* Per token, where several were counted. */
struct row {
    double rounds, online, dealt, seconds;
};

/* What two parties make for a request they make before it. */
static struct mpc_cost timed(struct mpc_cost c, const struct cost *o)
{
    if (o->mode == CONFIG_TWO_PARTY)
        c.offline = 0;
    return c;
}

/* Seconds of these bytes on the link of the two, both ways at once: what making them takes at least. */
static double seconds_to_make(struct mpc_cost c, const struct cost *o)
{
    return o->mode == CONFIG_TWO_PARTY ? (double)c.offline / 2 / (o->link.mbit * 1e6 / 8) : 0;
}

static struct row row_of(struct mpc_cost c, size_t steps, const struct cost *o)
{
    double n = (double)steps;
    return (struct row){(double)c.rounds / n, (double)c.online / n, (double)c.offline / n,
                        time_on_link(&o->link, &(struct time_work){.cost = timed(c, o)}) / n};
}

static json_t *json_cost(struct mpc_cost c, size_t steps, const struct cost *o)
{
    struct row r = row_of(c, steps, o);
    return json_pack("{s:f, s:f, s:f, s:f}", "rounds", r.rounds, "online_bytes", r.online, "offline_bytes",
                     r.dealt, "network_seconds", r.seconds);
}

static void print_row(const char *name, struct mpc_cost c, size_t steps, const struct cost *o)
{
    struct row r = row_of(c, steps, o);
    (void)printf("%-26s %8.*f  %10.2f MB  %10.2f MB  %10.3f s\n", name, c.rounds % steps == 0 ? 0 : 1,
                 r.rounds, r.online * 1e-6, r.dealt * 1e-6, r.seconds);
}

/* Where a token's cost lies, by class of operation. */
static void print_classes(const struct eng_cost *c, const struct cost *o)
{
    for (int i = 0; i < ENG_CLASSES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "    %s", eng_class_name((enum eng_class)i));
        print_row(name, c->by_class[i], c->steps, o);
    }
}

/* Seconds of a phase: with the client's words on the link, and computing. */
struct seconds {
    double link, computing;
};

static struct seconds seconds_of(const struct cost *o, struct time_work work, size_t steps)
{
    double n = (double)steps;
    work.cost = timed(work.cost, o);
    return (struct seconds){time_on_link(&o->link, &work) / n, time_computing(&o->machine, &work) / n};
}

static void print_seconds(const struct cost *o, const struct model *model, const struct eng_cost *c,
                          size_t prompt)
{
    struct seconds p = seconds_of(o, time_of_prefill(c, &model->shape, prompt), 1),
                   t = seconds_of(o, time_of_decode(c, &model->shape), c->steps);
    (void)printf("\n%-26s %13s  %13s  %13s\n", "seconds", "link, client", "computing", "in all");
    (void)printf("%-26s %13.3f  %13.3f  %13.3f\n", "prompt", p.link, p.computing, p.link + p.computing);
    (void)printf("%-26s %13.3f  %13.3f  %13.3f\n", "one token", t.link, t.computing, t.link + t.computing);
    (void)printf("computing: estimated from products timed here, %s\n",
                 o->machine.shared ? "all parties on this machine" : "each party on a machine like this one");
    if (o->mode == CONFIG_TWO_PARTY)
        (void)printf("with material that was made before (cachet prepare); its bytes take %.3f s of the link for the prompt and %.3f s for each token, "
                     "at least\n",
                     seconds_to_make(c->prefill, o), seconds_to_make(c->decode, o) / (double)c->steps);
}

static void print_table(const struct cost *o, const struct model *model, const struct eng_cost *c,
                        const struct eng_cost_margins *m, const struct memory_need need[3], size_t prompt)
{
    (void)printf("%s, %zu tokens in the cache, policy %s%s%s%s; %zu rows per prefill step; link of %.3g ms "
                 "round trip and %.4g Mbit/s\n\n",
                 model->shape.model_type, prompt, o->policy_text,
                 o->plan_options.general ? ", general gates" : "", o->plan_options.thin ? ", thin" : "",
                 o->plan_options.fold ? ", fold" : "", c->chunk, o->link.rtt_ms, o->link.mbit);
    (void)printf("%-26s %8s  %13s  %13s  %12s\n", "", "rounds", "online", o->mode == CONFIG_TWO_PARTY ? "made" : "dealt", "on the link");
    print_row("prompt", c->prefill, 1, o);
    print_row("  of it, attention", c->cached_prefill, 1, o);
    print_row("one token", c->decode, c->steps, o);
    print_row("  of it, decoder layers", c->layers, c->steps, o);
    print_row("  of it, attention", c->cached, c->steps, o);
    if (o->mode != CONFIG_TWO_PARTY) /* what is made belongs to no class */
        print_classes(c, o);
    if (m->head_online > 0)
        (void)printf("%-26s %8s  %10.1f B   %10.1f B\n", "  per cached row and head", "", m->head_online,
                     m->head_offline);
    if (m->element_online > 0)
        (void)printf("%-26s %8s  %10.1f B   %10.1f B\n", "  per element of the MLP", "", m->element_online,
                     m->element_offline);
    if (o->uniform)
        (void)printf(
            "\na shape has no profile of its heads: the first heads of every layer see everything, layers "
            "have equal budgets\n");
    print_seconds(o, model, c, prompt);
    (void)printf("\n%-26s %13s  %13s  %13s\n", "memory", "weights", "cache", "work, queues");
    for (int i = party_config_first(o->mode); i < 3; i++)
        (void)printf("P%d%-24s %10.1f MB  %10.1f MB  %10.1f MB\n", i, "", (double)need[i].weights * 1e-6,
                     (double)need[i].cache * 1e-6, (double)(need[i].work + need[i].queues) * 1e-6);
    if (o->mode == CONFIG_TWO_PARTY)
        (void)printf("and at each the weights of the other, encrypted: %.1f MB\n", (double)need[1].encrypted * 1e-6);
}

/* null where the context is too short for one. */
static json_t *json_margin(double online, double offline)
{
    return online == 0 ? json_null() : json_pack("[ff]", online, offline);
}

static void print_json(const struct cost *o, const struct model *model, const struct eng_cost *c,
                       const struct eng_cost_margins *m, const struct memory_need need[3], size_t prompt)
{
    json_t *memory = json_array(), *classes = json_object();
    for (int i = 0; i < ENG_CLASSES; i++)
        (void)json_object_set_new(classes, eng_class_name((enum eng_class)i),
                                  json_cost(c->by_class[i], c->steps, o));
    for (int i = party_config_first(o->mode); i < 3; i++)
        (void)json_array_append_new(memory,
                                    json_pack("{s:I, s:I, s:I, s:I}", "weights", (json_int_t)need[i].weights,
                                              "cache", (json_int_t)need[i].cache, "work",
                                              (json_int_t)(need[i].work + need[i].queues), "encrypted", (json_int_t)need[i].encrypted));
    struct seconds p = seconds_of(o, time_of_prefill(c, &model->shape, prompt), 1),
                   t = seconds_of(o, time_of_decode(c, &model->shape), c->steps);
    json_t *root =
        json_pack("{s:s, s:I, s:s, s:b, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "model",
                  model->shape.model_type, "context", (json_int_t)prompt, "policy", o->policy_text, "general",
                  o->plan_options.general, "thin", o->plan_options.thin, "fold", o->plan_options.fold,
                  "uniform_profile", o->uniform, "prefill", json_cost(c->prefill, 1, o), "decode",
                  json_cost(c->decode, c->steps, o), "decode_layers", json_cost(c->layers, c->steps, o), "decode_by_class", classes,
                  "prefill_attention", json_cost(c->cached_prefill, 1, o), "decode_attention",
                  json_cost(c->cached, c->steps, o), "bytes_per_cached_row_and_head",
                  json_margin(m->head_online, m->head_offline), "bytes_per_mlp_element",
                  json_margin(m->element_online, m->element_offline), "memory", memory);
    (void)json_object_set_new(root, "prefill_seconds", json_pack("{s:f, s:f}", "link", p.link, "computing", p.computing));
    (void)json_object_set_new(root, "decode_seconds", json_pack("{s:f, s:f}", "link", t.link, "computing", t.computing));
    (void)json_object_set_new(root, "mode", json_string(party_config_mode_name(o->mode)));
    (void)json_object_set_new(root, "seconds_to_make", json_pack("{s:f, s:f}", "prefill", seconds_to_make(c->prefill, o), "decode",
                                                                 seconds_to_make(c->decode, o) / (double)c->steps));
    (void)json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
    (void)putchar('\n');
    json_decref(root);
}

/* Every gate's declared cost per element. */
static void print_gates(bool json)
{
    enum { ELEMENTS = 1024 };
    size_t count;
    const struct sec_gate *const *gates = sec_gates(&count);
    json_t *list = json_array();
    if (!json)
        (void)printf("%-14s %8s %14s %14s   %s\n", "gate", "rounds", "online B/elem", "dealt B/elem",
                     "source");
    for (size_t i = 0; i < count; i++) {
        struct mpc_cost c = gates[i]->cost(ELEMENTS * gates[i]->unit);
        double online = (double)c.online / ELEMENTS, dealt = (double)c.offline / ELEMENTS;
        if (json)
            (void)json_array_append_new(list, json_pack("{s:s, s:I, s:f, s:f}", "gate", gates[i]->name,
                                                        "rounds", (json_int_t)c.rounds, "online_bytes",
                                                        online, "offline_bytes", dealt));
        else
            (void)printf("%-14s %8llu %14.1f %14.1f   %s\n", gates[i]->name, (unsigned long long)c.rounds,
                         online, dealt, gates[i]->source);
    }
    if (json) {
        (void)json_dumpf(list, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
        (void)putchar('\n');
    }
    json_decref(list);
}

static enum base_status count(struct cost *o, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct model model = {0};
    struct eng_plan plan = {0}, layers = {0};
    struct base_progress progress = {0};
    const struct kv_policy *policy;
    struct kv_config config;
    struct eng_cost cost;
    struct eng_cost_margins margins = {0};
    struct memory_need need[3];
    struct pair_maker maker;
    size_t prompt = o->plan_options.context, steps;
    TRY(policy_flags_read(&o->policy, &policy, &config, error));
    kv_config_print(policy, &config, o->policy_text);
    TRY(model_open(&model, o->input, error));
    o->uniform = policy->reads_profile && o->plan_path == NULL && o->input.path == NULL;
    struct eng_decoder_form form = {
        .shape = &model.shape, .policy = policy, .config = config, .context = prompt};
    layers.layers = model.shape.layers;
    form.plan = &layers;
    TRY(kv_profile_init_uniform(&layers.profile, model.shape.layers, model.shape.kv_heads, error));
    TRY(eng_decoder_period(&form, prompt, &steps, error));
    o->plan_options.context += steps; /* and the tokens that are decoded */
    TRY(make_plan(o, &model, &plan, error));
    TRY_THAT(prompt + steps <= (size_t)plan.context, error, BASE_ERR_RANGE,
             "%s was made for a context of %d: --context %zu and %zu new tokens are more", o->plan_path,
             plan.context, prompt, steps);
    form.plan = &plan;
    form.context = prompt + steps;
    if (o->mode == CONFIG_TWO_PARTY) {
        eng_plan_set_pair(&plan);
        party_two_count(&maker);
        form.maker = &maker.of_party;
    }
    base_progress_start(&progress, "counting", prompt);
    TRY(eng_cost_count(&cost, &form, prompt, &progress, error));
    base_progress_finish(&progress);
    if (plan.context >= ENG_COST_MARGIN_CONTEXT)
        TRY(eng_cost_margins(&margins, &form, error));
    struct memory_form memory = {.shape = &model.shape,
                                 .plan = &plan,
                                 .policy = policy,
                                 .config = config,
                                 .context = prompt + steps,
                                 .queue_bytes = (size_t)o->queue_mib << 20,
                                 .alone = o->mode == CONFIG_TWO_PARTY};
    TRY(time_machine_measure(&o->machine, error));
    o->machine.shared = o->one_machine;
    for (int i = 0; i < 3; i++)
        TRY(memory_of(&need[i], (enum mpc_role)i, &memory, error));
    if (o->json)
        print_json(o, &model, &cost, &margins, need, prompt);
    else
        print_table(o, &model, &cost, &margins, need, prompt);
out:
    base_progress_finish(&progress);
    eng_plan_finish(&plan);
    eng_plan_finish(&layers);
    model_close(&model);
    return status;
}

/* Which policy of an evaluation to take. */
static enum base_status recommend(struct cost *o, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct model model = {0};
    struct eng_plan plan = {0};
    struct eval_results results = {0};
    struct recommendation r = {0};
    struct base_progress progress = {0};
    TRY_THAT(strcmp(o->policy.policy, kv_policy_full.name) == 0, error, BASE_ERR_ARGUMENT,
             "--policy %s and --recommend: the policies are those of %s", o->policy.policy, o->recommend);
    TRY(eval_results_read(&results, o->recommend, error));
    TRY(model_open(&model, o->input, error));
    struct recommend_form form = {.results = &results,
                                  .path = o->recommend,
                                  .tasks = o->tasks,
                                  .floor = o->floor,
                                  .shape = &model.shape,
                                  .context = o->plan_options.context,
                                  .answer = o->answer,
                                  .link = o->link};
    TRY(recommend_init(&r, &form, error));
    o->plan_options.context += r.steps;
    TRY(make_plan(o, &model, &plan, error));
    TRY_THAT(o->plan_options.context <= (uint64_t)plan.context, error, BASE_ERR_RANGE,
             "%s was made for a context of %d: %zu are needed", o->plan_path, plan.context,
             (size_t)o->plan_options.context);
    base_progress_start(&progress, "counting", r.count);
    TRY(recommend_count(&r, &plan, &progress, error));
    base_progress_finish(&progress);
    recommend_print(&r, o->input.path == NULL ? NULL : model.digest, o->json);
out:
    base_progress_finish(&progress);
    recommend_finish(&r);
    eng_plan_finish(&plan);
    model_close(&model);
    eval_results_finish(&results);
    return status;
}

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct cost o = {.policy = POLICY_FLAGS_STANDARD,
                     .plan_options.context = 512,
                     .score_bits = 5,
                     .range_bits = MODEL_TYPICAL_RANGE,
                     .headroom = MODEL_TYPICAL_HEADROOM,
                     .queue_mib = 256,
                     .link = {.rtt_ms = 0.1, .mbit = 10000},
                     .floor = 95,
                     .answer = 128};
    bool done = false;
    const struct option_entry options[] = {
        OPTION_MODEL(&o.input.path),
        {.name = "shape",
         .value = "NAME",
         .help = "instead: gpt2, gpt2-medium, smollm2-135m, qwen2.5-0.5b, tinyllama-1.1b or llama-7b, with "
                 "typical bounds",
         .target = &o.input.shape},
        {.name = "plan",
         .value = "FILE",
         .help = "plan.json (default: calibrated, or typical for a shape)",
         .target = &o.plan_path},
        {.name = "text",
         .value = "FILE",
         .help = "calibration text (see cachet plan)",
         .target = &o.plan_options.text},
        {.name = "context",
         .value = "T",
         .help = "tokens in the cache when the counted token is decoded (default 512)",
         .kind = OPTION_COUNT,
         .target = &o.plan_options.context,
         .low = 1,
         .high = 1 << 20},
        {.name = "score-bits",
         .value = "N",
         .help = "shape, general attention: scores lie within 2^N nats (default 5)",
         .kind = OPTION_COUNT,
         .target = &o.score_bits,
         .low = 2,
         .high = 8},
        {.name = "range-bits",
         .value = "N",
         .help = "shape: scores lie within N bits below their ceilings (default 64, which are 44 nats)",
         .kind = OPTION_COUNT,
         .target = &o.range_bits,
         .low = 8,
         .high = 160},
        {.name = "headroom",
         .value = "N",
         .help = "shape: the largest score of a row lies within N bits below its ceiling (default 24)",
         .kind = OPTION_COUNT,
         .target = &o.headroom,
         .low = 1,
         .high = 31},
        OPTIONS_WIDTHS(&o.plan_options),
        OPTIONS_POLICY(&o.policy),
        {.name = "ahead-mib",
         .value = "N",
         .help = "how far P0 may deal ahead (default 256)",
         .kind = OPTION_COUNT,
         .target = &o.queue_mib,
         .low = 1,
         .high = 65536},
        {.name = "link",
         .value = "LINK",
         .help = "of the parties, as cachet relay takes it: loopback, lan, man, wan, wan400, rtt=40:mbit=100, ...",
         .target = &o.link_name},
        {.name = "rtt-ms",
         .value = "X",
         .help = "instead: round trip between parties (default 0.1)",
         .kind = OPTION_REAL,
         .target = &o.link.rtt_ms,
         .high = 1e5},
        {.name = "mbit",
         .value = "X",
         .help = "bandwidth between any two of them, each way (default 10000)",
         .kind = OPTION_REAL,
         .target = &o.link.mbit,
         .low = 1e-3,
         .high = 1e7},
        {.name = "one-machine",
         .help = "the three parties share this machine's cores",
         .kind = OPTION_FLAG,
         .target = &o.one_machine},
        {.name = "recommend",
         .value = "FILE",
         .help = "instead: the cheapest cache policy of this evaluation (cachet eval --out) that is good "
                 "enough, by "
                 "seconds on the link of a request, the prompt and its answer",
         .target = &o.recommend},
        {.name = "floor",
         .value = "PERCENT",
         .help = "recommend: of answers that must be right, or of tokens that must agree with the full cache "
                 "(default "
                 "95)",
         .kind = OPTION_REAL,
         .target = &o.floor,
         .high = 100},
        {.name = "task",
         .value = "LIST",
         .help = "recommend: tasks that must reach the floor, each (default: all that the evaluation has)",
         .target = &o.tasks},
        {.name = "answer",
         .value = "N",
         .help = "recommend: tokens of the answer (default 128)",
         .kind = OPTION_COUNT,
         .target = &o.answer,
         .high = 1 << 20},
        {.name = "mode",
         .value = "NAME",
         .help = "three-party (default), two-party-with-dealer: the same costs; two-party: P1 and P2 make what P0 deals elsewhere, and general gates alone",
         .target = &o.mode_name},
        {.name = "gates",
         .help = "print what each secure function costs per element instead",
         .kind = OPTION_FLAG,
         .target = &o.gates},
        {.name = "json",
         .help = "print an object instead of a table",
         .kind = OPTION_FLAG,
         .target = &o.json},
        OPTION_END};
    TRY(options_parse(argc, argv,
                      "Predicts rounds, bytes, memory and time on the link of a model without running it. "
                      "Rounds and bytes are exact.",
                      NULL, options, &done, error));
    if (done)
        return BASE_OK;
    if (o.link_name != NULL)
        TRY(time_link_parse(o.link_name, &o.link, error));
    TRY_THAT(o.mode_name == NULL || party_config_find_mode(o.mode_name, &o.mode), error, BASE_ERR_ARGUMENT,
             "--mode is \"%s\": must be three-party, two-party-with-dealer or two-party", o.mode_name);
    TRY_THAT(o.mode != CONFIG_TWO_PARTY || (o.recommend == NULL && !o.gates), error, BASE_ERR_ARGUMENT,
             "--mode two-party: costs of a model alone; leave out --recommend and --gates");
    o.plan_options.general = o.plan_options.general || o.mode == CONFIG_TWO_PARTY;
    if (o.gates)
        print_gates(o.json);
    else if (o.recommend != NULL)
        TRY(recommend(&o, error));
    else
        TRY(count(&o, error));
out:
    return status;
}

const struct command command_cost = {"cost", "rounds, bytes and memory of a model, without running it", run,
                                     false};
