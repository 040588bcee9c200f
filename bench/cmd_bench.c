/* cachet bench: requests over lists of models, contexts, policies and links, measured beside what is declared and predicted. */
#include "bench/kernels.h"
#include "bench/plots.h"
#include "parties/command.h"
#include "parties/options.h"
#include "parties/policy_flags.h"

#include "base/memory.h"
#include "engine/formats/json_memory.h"
#include "engine/share_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIST = 64, LIST_TEXT = 4096 };

struct list {
    char text[LIST_TEXT];
    const char *part[LIST];
    size_t count;
};

struct bench {
    const char *models, *shapes, *contexts, *policies, *budgets, *links, *output, *text, *tokenizer, *gates, *plots, *mode_name;
    enum config_mode mode;
    uint64_t new_tokens, warm_ups, repeats;
    struct model_input shape_options;
    bool made_up;

    struct list subject, policy, link, gate;
    size_t context[LIST], context_count, budget[LIST], budget_count;
    enum bench_format format;
    struct time_machine machine;
    size_t rows, cases, done;
    struct bench_point *points; /* [cases] */
    json_t *objects;            /* the same rows */
};

static enum base_status split(struct list *ret, const char *flag, const char *text, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY_THAT(strlen(text) < sizeof ret->text, error, BASE_ERR_ARGUMENT, "--%s is longer than %zu letters", flag,
             sizeof ret->text - 1);
    (void)snprintf(ret->text, sizeof ret->text, "%s", text);
    char *rest = ret->text;
    for (char *part; (part = options_next_part(&rest)) != NULL;) {
        TRY_THAT(*part != '\0', error, BASE_ERR_ARGUMENT, "--%s is \"%.80s\": a part of it is empty", flag, text);
        TRY_THAT(ret->count < LIST, error, BASE_ERR_ARGUMENT, "--%s has more than %d parts", flag, LIST);
        ret->part[ret->count++] = part;
    }
out:
    return status;
}

static struct bench_subject_form subject_form(const struct bench *b, size_t subject, size_t context, size_t gate)
{
    struct bench_subject_form form = {.text = b->text, .new_tokens = b->new_tokens};
    form.input = (struct model_input){.tokenizer = b->tokenizer, .layers = b->shape_options.layers, .one_layer = b->shape_options.one_layer};
    *(b->models != NULL ? &form.input.path : &form.input.shape) = b->subject.part[subject];
    form.context = b->context[context];
    form.general = strcmp(b->gate.part[gate], "general") == 0;
    form.mode = b->mode;
    return form;
}

/* Budgets multiply the policies that take one; others run once. */
static size_t budgets_of(const struct bench *b, const struct kv_policy *policy)
{
    return b->budget_count == 0 || !kv_policy_takes(policy, KV_BUDGET) ? 1 : b->budget_count;
}

static enum base_status policy_at(const struct bench *b, size_t policy, size_t budget, const struct kv_policy **ret_policy,
                                  struct kv_config *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(kv_config_parse(b->policy.part[policy], 0, ret_policy, ret, error));
    if (b->budget_count > 0 && kv_policy_takes(*ret_policy, KV_BUDGET))
        TRY(kv_config_parse(b->policy.part[policy], (uint32_t)b->budget[budget], ret_policy, ret, error));
out:
    return status;
}

/* Two parties alone have general gates, and keep what they make for whole prompts. */
static enum base_status check_mode(struct bench *b, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY_THAT(party_config_find_mode(b->mode_name, &b->mode), error, BASE_ERR_ARGUMENT,
             "--mode is \"%s\": must be three-party, two-party-with-dealer or two-party", b->mode_name);
    if (b->gates == NULL)
        b->gates = b->mode == CONFIG_TWO_PARTY ? "general" : "cheap";
    if (b->mode != CONFIG_TWO_PARTY)
        return BASE_OK;
    TRY_THAT(strcmp(b->gates, "general") == 0, error, BASE_ERR_ARGUMENT, "--mode two-party and --gates %.40s: two parties alone have general gates", b->gates);
    TRY_THAT(!b->made_up, error, BASE_ERR_ARGUMENT, "--mode two-party and --made-up-rows: material is made for whole prompts");
    for (size_t i = 0; i < b->link.count; i++)
        TRY_THAT(!bench_is_relayed(b->link.part[i]), error, BASE_ERR_ARGUMENT, "--mode two-party and --link %.40s: a relay lies before three parties",
                 b->link.part[i]);
out:
    return status;
}

/* Everything that can be refused is, before the first row is measured. */
static enum base_status check(struct bench *b, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY_THAT((b->models == NULL) != (b->shapes == NULL), error, BASE_ERR_ARGUMENT, "give either --model or --shape");
    TRY_THAT(!b->made_up || b->shapes != NULL, error, BASE_ERR_ARGUMENT,
             "--made-up-rows is for shapes: a model reads its prompt");
    TRY(bench_format_parse(b->output, &b->format, error));
    TRY(split(&b->subject, b->models != NULL ? "model" : "shape", b->models != NULL ? b->models : b->shapes, error));
    TRY(options_read_numbers("context", b->contexts, (struct option_numbers){1, 1 << 20, LIST}, b->context,
                             &b->context_count, error));
    TRY(split(&b->policy, "policy", b->policies, error));
    TRY(split(&b->link, "link", b->links, error));
    TRY(check_mode(b, error));
    TRY(split(&b->gate, "gates", b->gates, error));
    if (b->budgets != NULL)
        TRY(options_read_numbers("budget", b->budgets, (struct option_numbers){1, 100, LIST}, b->budget,
                                 &b->budget_count, error));
    for (size_t i = 0; i < b->gate.count; i++)
        TRY_THAT(strcmp(b->gate.part[i], "cheap") == 0 || strcmp(b->gate.part[i], "general") == 0, error, BASE_ERR_ARGUMENT,
                 "--gates holds \"%.40s\": must be cheap or general", b->gate.part[i]);
    for (size_t i = 0; i < b->link.count; i++) {
        struct relay_link link;
        if (bench_is_relayed(b->link.part[i]))
            TRY(relay_link_parse(b->link.part[i], &link, error));
    }
    for (size_t p = 0; p < b->policy.count; p++) {
        const struct kv_policy *policy;
        struct kv_config config;
        TRY(policy_at(b, p, 0, &policy, &config, error));
        for (size_t i = 1; i < budgets_of(b, policy); i++)
            TRY(policy_at(b, p, i, &policy, &config, error));
        b->cases += budgets_of(b, policy);
    }
    b->cases *= b->subject.count * b->context_count * b->gate.count * b->link.count;
out:
    return status;
}

static enum base_status measure_one(struct bench *b, const struct bench_case *bench, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct bench_row row;
    char policy[KV_CONFIG_TEXT];
    kv_config_print(bench->policy, &bench->config, policy);
    (void)fprintf(stderr, "case %zu of %zu: %zu tokens, policy %s, %s gates, link %s\n", ++b->done, b->cases,
                  bench->subject->context, policy, bench->subject->general ? "general" : "cheap", bench->link);
    TRY(bench_measure(&row, bench, error));
    if (b->rows == 0)
        bench_rows_begin(b->format);
    bench_point_init(&b->points[b->rows], bench, &row);
    eng_json_watch();
    json_t *object = bench_row_json(bench, &row);
    (void)json_array_append_new(b->objects, object);
    TRY(eng_json_check_memory("a row", error));
    bench_rows_add(b->format, bench, &row, object, b->rows++ == 0);
out:
    return status;
}

static enum base_status measure_subject(struct bench *b, const struct bench_subject *subject, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (size_t p = 0; p < b->policy.count; p++) {
        struct bench_case bench = {.subject = subject,
                                   .warm_ups = b->warm_ups,
                                   .repeats = b->repeats,
                                   .made_up = b->made_up,
                                   .machine = &b->machine};
        TRY(policy_at(b, p, 0, &bench.policy, &bench.config, error));
        for (size_t i = 0, n = budgets_of(b, bench.policy); i < n; i++)
            for (size_t l = 0; l < b->link.count; l++) {
                TRY(policy_at(b, p, i, &bench.policy, &bench.config, error));
                bench.link = b->link.part[l];
                TRY(measure_one(b, &bench, error));
            }
    }
out:
    return status;
}

static enum base_status measure_all(struct bench *b, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct bench_subject subject = {0};
    for (size_t s = 0; s < b->subject.count; s++)
        for (size_t c = 0; c < b->context_count; c++)
            for (size_t g = 0; g < b->gate.count; g++) {
                struct bench_subject_form form = subject_form(b, s, c, g);
                TRY(bench_subject_init(&subject, &form, error));
                TRY(measure_subject(b, &subject, error));
                bench_subject_finish(&subject);
                subject = (struct bench_subject){0};
            }
out:
    bench_subject_finish(&subject);
    return status;
}

/* What was measured before a failure is drawn and kept, too. */
static enum base_status keep_rows(const struct bench *b, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char path[ENG_PATH_MAX];
    if (b->plots == NULL || b->rows == 0)
        return BASE_OK;
    TRY(eng_path_print(path, error, "%s/rows.json", b->plots));
    TRY_THAT(json_dump_file(b->objects, path, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) == 0, error, BASE_ERR_IO,
             "cannot write %s: check the directory and its free space", path);
    TRY(bench_plots_draw(b->points, b->rows, b->plots, error));
out:
    return status;
}

static enum base_status run_bench(struct bench *b, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(check(b, error));
    TRY(time_machine_measure(&b->machine, error));
    b->machine.shared = true;
    TRY(base_alloc(&b->points, b->cases, sizeof *b->points, error));
    b->objects = json_array();
    if (b->plots != NULL && access(b->plots, F_OK) != 0)
        TRY(eng_make_directory(b->plots, error));
    status = measure_all(b, error);
    if (b->rows > 0)
        bench_rows_end(b->format);
    struct base_error later = {0};
    enum base_status kept = keep_rows(b, &later);
    if (status == BASE_OK && kept != BASE_OK)
        status = base_fail(error, kept, "%s", later.text);
out:
    return status;
}

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    if (argc > 1 && strcmp(argv[1], "kernels") == 0)
        return bench_kernels_run(argc - 1, argv + 1, error);
    enum base_status status = BASE_OK;
    struct bench *b = NULL;
    bool done = false;
    TRY(base_alloc(&b, 1, sizeof *b, error));
    *b = (struct bench){.contexts = "512", .policies = "full", .links = "none", .output = "md", .mode_name = "three-party",
                        .new_tokens = 8, .warm_ups = 1, .repeats = 3};
    const struct option_entry options[] = {
        {.name = "model", .value = "LIST", .help = "model directories, .gguf or llama2.c files, with commas between them",
         .target = &b->models},
        {.name = "shape", .value = "LIST", .help = "instead: public shapes with synthetic weights", .target = &b->shapes},
        {.name = "context", .value = "LIST", .help = "tokens in the cache when decoding starts (default 512)",
         .target = &b->contexts},
        {.name = "policy", .value = "LIST", .help = "cache policies (default full; see kvcache/README.md)", .target = &b->policies},
        {.name = "budget", .value = "LIST", .help = "percent, for policies that take a budget", .target = &b->budgets},
        {.name = "link", .value = "LIST",
         .help = "links between the parties as cachet relay takes them: loopback, lan, man, wan, wan400, rtt=40:mbit=100, ... "
                 "(default none: no relay lies between the parties)",
         .target = &b->links},
        {.name = "gates", .value = "LIST", .help = "cheap, general (default cheap: what the ranges of a model allow; two parties alone: general)",
         .target = &b->gates},
        {.name = "new-tokens", .value = "N", .help = "tokens that are timed after the first one, in each request (default 8)",
         .kind = OPTION_COUNT, .target = &b->new_tokens, .low = 1, .high = 4096},
        {.name = "warm-ups", .value = "N", .help = "requests before those that count (default 1)", .kind = OPTION_COUNT,
         .target = &b->warm_ups, .high = 1000},
        {.name = "repeats", .value = "N", .help = "requests that count (default 3)", .kind = OPTION_COUNT,
         .target = &b->repeats, .low = 1, .high = 1000},
        {.name = "made-up-rows",
         .help = "shapes: the cache begins with made-up rows instead of a prompt that is read: decoding costs the same",
         .kind = OPTION_FLAG, .target = &b->made_up},
        OPTIONS_SHAPE(&b->shape_options),
        {.name = "mode", .value = "NAME",
         .help = "three-party (default), two-party-with-dealer, or two-party: P1 and P2 make the material of each request before it, which is timed apart",
         .target = &b->mode_name},
        {.name = "text", .value = "FILE", .help = "models: calibration text, whose beginning is the prompt (default: the model's own)",
         .target = &b->text},
        {.name = "tokenizer", .value = "PATH", .help = "tokenizer, when it is not where the model is", .target = &b->tokenizer},
        {.name = "plots", .value = "DIR", .help = "also write rows.json and pictures (gnuplot) into this directory", .target = &b->plots},
        {.name = "output", .value = "FORMAT", .help = "md (default), csv or json", .target = &b->output},
        OPTION_END};
    TRY(options_parse(argc, argv,
                      "Measures requests over every combination of the lists: the parties as processes on this machine, over a "
                      "link, beside what is declared and predicted. A difference between declared and counted is an error.",
                      "cachet bench kernels measures the kernel slots instead: see its --help.", options, &done, error));
    if (!done)
        TRY(run_bench(b, error));
out:
    if (b != NULL) {
        base_free(&b->points);
        json_decref(b->objects);
    }
    base_free(&b);
    return status;
}

const struct command command_bench = {"bench", "measures seconds, rounds and bytes over models, contexts, policies and links", run,
                                      true};
