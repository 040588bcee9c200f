/* cachet eval: how well cache policies answer, on the plaintext twin (the same integers as on shares), beside
 * what a token costs. */
#include "base/memory.h"
#include "engine/cost.h"
#include "parties/clear.h"
#include "parties/command.h"
#include "parties/eval/harness.h"
#include "parties/model.h"
#include "parties/options.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 32, MOST_CELLS = 256, SPARE = 16, TEXT_SIZE = 4096 };

struct eval {
    struct model_input input;
    const char *policies, *budgets, *tasks, *contexts, *text, *plan_path;
    uint64_t prompts, seed, threads;
    bool json, general;

    struct model model;
    struct eng_tokenizer *tokenizer;
    struct eng_plan plan;
    struct clear_model clear;
    struct eval_text hay;
    const struct eval_task *task[MOST];
    size_t task_count, context[MOST], context_count;
    uint32_t budget[MOST];
    size_t budget_count;
    struct eval_cell cell[MOST_CELLS];
    char name[MOST_CELLS][KV_CONFIG_TEXT];
    size_t cell_count;
};

/* The next part of a list, whose commas become ends; NULL: none is left. */
static char *next_part(char **list)
{
    char *part = *list;
    if (part == NULL)
        return NULL;
    *list = strchr(part, ',');
    if (*list != NULL)
        *(*list)++ = '\0';
    return part;
}

static enum base_status read_numbers(const char *flag, const char *list, size_t low, size_t high, size_t *ret,
                                     size_t *ret_count, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char copy[TEXT_SIZE], *rest = copy, *part, *end;
    (void)snprintf(copy, sizeof copy, "%s", list);
    while ((part = next_part(&rest)) != NULL) {
        size_t value = strtoul(part, &end, 10);
        TRY_THAT(*part >= '0' && *part <= '9' && *end == '\0' && value >= low && value <= high &&
                     *ret_count < MOST,
                 error, BASE_ERR_ARGUMENT,
                 "--%s: \"%.20s\" must be a whole number of %zu to %zu, %d of them at most", flag, part, low,
                 high, MOST);
        ret[(*ret_count)++] = value;
    }
out:
    return status;
}

/* Every policy under every budget; the full cache comes first, and once. */
static enum base_status read_cells(struct eval *e, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char copy[TEXT_SIZE], *rest = copy, *part;
    (void)snprintf(copy, sizeof copy, "full,%s", e->policies);
    while ((part = next_part(&rest)) != NULL)
        for (size_t b = 0; b < e->budget_count; b++) {
            struct eval_cell *cell = &e->cell[e->cell_count];
            TRY_THAT(e->cell_count < MOST_CELLS, error, BASE_ERR_ARGUMENT,
                     "more than %d policies and budgets", MOST_CELLS);
            TRY(kv_config_parse(part, e->budget[b], &cell->policy, &cell->config, error));
            if (strcmp(part, "full") == 0 && (b > 0 || e->cell_count > 0))
                continue;
            (void)snprintf(e->name[e->cell_count++], KV_CONFIG_TEXT, "%.*s", KV_CONFIG_TEXT - 1, part);
        }
out:
    return status;
}

static enum base_status read_flags(struct eval *e, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char copy[TEXT_SIZE], *rest = copy, *part;
    size_t budget[MOST];
    TRY(read_numbers("budget", e->budgets, 1, 100, budget, &e->budget_count, error));
    for (size_t i = 0; i < e->budget_count; i++)
        e->budget[i] = (uint32_t)budget[i];
    TRY(read_numbers("context", e->contexts, 64, 1 << 20, e->context, &e->context_count, error));
    (void)snprintf(copy, sizeof copy, "%s", e->tasks);
    while ((part = next_part(&rest)) != NULL) {
        TRY_THAT(e->task_count < MOST && (e->task[e->task_count] = eval_task_find(part)) != NULL, error,
                 BASE_ERR_ARGUMENT,
                 "there is no task \"%.40s\": choose among passkey, keys, lines, kv, trace", part);
        e->task_count++;
    }
    TRY(read_cells(e, error));
out:
    return status;
}

static size_t longest(const struct eval *e)
{
    size_t most = 0;
    for (size_t i = 0; i < e->context_count; i++)
        most = e->context[i] > most ? e->context[i] : most;
    return most + SPARE;
}

static struct eng_decoder_form form_of(const struct eval *e)
{
    return (struct eng_decoder_form){
        .shape = &e->model.shape, .plan = &e->plan, .weights = &e->clear.weights, .gates = &e->clear.gates};
}

/* Every policy with every context, before work starts. */
static enum base_status check_cells(const struct eval *e, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_decoder_form form = form_of(e);
    for (size_t t = 0; t < e->context_count; t++)
        for (size_t c = 0; c < e->cell_count; c++) {
            form.policy = e->cell[c].policy;
            form.config = e->cell[c].config;
            form.context = e->context[t] + SPARE;
            TRY(eng_decoder_allows(&form, e->context[t], SPARE, error));
        }
out:
    return status;
}

static enum base_status open_all(struct eval *e, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct model_plan_options options = {.context = longest(e), .general = e->general};
    char path[TEXT_SIZE];
    TRY(model_open(&e->model, e->input, error));
    TRY_THAT(options.context <= e->model.shape.context + SPARE, error, BASE_ERR_ARGUMENT,
             "a context of %zu tokens: the model was trained for %zu", options.context - SPARE,
             e->model.shape.context);
    TRY(model_tokenizer(&e->model, &e->tokenizer, error));
    (void)snprintf(path, sizeof path, "%s/calibration.txt", e->input.path);
    TRY(eval_text_open(&e->hay, e->tokenizer, e->text != NULL ? e->text : path, error));
    if (e->plan_path != NULL)
        TRY(eng_plan_read(&e->plan, e->plan_path, error));
    else
        TRY(model_plan(&e->model, &options, &e->plan, NULL, error));
    TRY_THAT((size_t)e->plan.context >= options.context, error, BASE_ERR_RANGE,
             "%s was made for a context of %d: %zu are needed", e->plan_path, e->plan.context,
             options.context);
    TRY(check_cells(e, error));
    TRY(clear_open(&e->clear, &e->model, &e->plan, error));
out:
    return status;
}

static void close_all(struct eval *e)
{
    clear_close(&e->clear);
    eng_plan_finish(&e->plan);
    eval_text_close(&e->hay);
    eng_tokenizer_close(&e->tokenizer);
    model_close(&e->model);
}

/* Bytes and rounds of a token, layers and all. */
struct price {
    double bytes, rounds;
};

static enum base_status price_of(const struct eval *e, size_t cell, size_t context, struct price *ret,
                                 struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_decoder_form form = form_of(e);
    struct eng_cost cost;
    size_t steps;
    form.policy = e->cell[cell].policy;
    form.config = e->cell[cell].config;
    form.context = context;
    TRY(eng_decoder_period(&form, context, &steps, error));
    form.context = context + steps < (size_t)e->plan.context ? context + steps : (size_t)e->plan.context;
    size_t prompt = form.context - steps;
    TRY(eng_cost_count(&cost, &form, prompt, NULL, error));
    ret->bytes = (double)(cost.decode.online + cost.decode.offline) / (double)cost.steps;
    ret->rounds = (double)cost.decode.rounds / (double)cost.steps;
out:
    return status;
}

/* One task in one context: the table on standard output, or objects at the end of `rows`. */
static void report(const struct eval *e, const struct eval_task *task, size_t context, const size_t *hits,
                   const struct price *price, json_t *rows)
{
    if (!e->json)
        (void)printf("\n%s, %zu tokens, %llu prompts\n%-44s %7s %8s %12s %8s\n", task->name, context,
                     (unsigned long long)e->prompts, "policy", "budget", "right", "kB / token", "rounds");
    for (size_t c = 0; c < e->cell_count; c++) {
        uint32_t budget = e->cell[c].config.value[KV_BUDGET];
        budget = budget == 0 ? 100 : budget;
        if (!e->json)
            (void)printf("%-44s %5u %% %6.1f %% %12.0f %8.1f\n", e->name[c], budget,
                         100.0 * (double)hits[c] / (double)e->prompts, price[c].bytes * 1e-3,
                         price[c].rounds);
        (void)json_array_append_new(
            rows, json_pack("{s:s, s:I, s:s, s:I, s:I, s:I, s:f, s:f}", "task", task->name, "context",
                            (json_int_t)context, "policy", e->name[c], "budget_percent", (json_int_t)budget,
                            "prompts", (json_int_t)e->prompts, "right", (json_int_t)hits[c],
                            "bytes_per_token", price[c].bytes, "rounds_per_token", price[c].rounds));
    }
    (void)fflush(stdout);
}

static enum base_status evaluate(struct eval *e, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t hits[MOST_CELLS];
    struct price price[MOST_CELLS];
    json_t *rows = json_array();
    struct eval_form form = {.decoder = form_of(e),
                             .tokenizer = e->tokenizer,
                             .text = &e->hay,
                             .cells = e->cell,
                             .cell_count = e->cell_count,
                             .prompts = e->prompts,
                             .threads = e->threads,
                             .seed = e->seed};
    for (size_t t = 0; t < e->context_count; t++) {
        for (size_t c = 0; c < e->cell_count; c++)
            TRY(price_of(e, c, e->context[t], &price[c], error));
        for (size_t k = 0; k < e->task_count; k++) {
            TRY(eval_run(&form, e->task[k], e->context[t], hits, error));
            report(e, e->task[k], e->context[t], hits, price, rows);
        }
    }
    if (e->json) {
        (void)json_dumpf(rows, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(8));
        (void)putchar('\n');
    }
out:
    json_decref(rows);
    return status;
}

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    bool done = false;
    struct eval *e = NULL;
    TRY(base_alloc(&e, 1, sizeof *e, error));
    *e = (struct eval){.policies = "window,select",
                       .budgets = "25",
                       .tasks = "passkey,keys",
                       .contexts = "512",
                       .prompts = 100,
                       .seed = 1,
                       .threads = 2};
    const struct option_entry options[] = {
        OPTION_MODEL(&e->input.path),
        {.name = "tokenizer",
         .value = "PATH",
         .help = "tokenizer, when it is not where the model is",
         .target = &e->input.tokenizer},
        {.name = "policy",
         .value = "LIST",
         .help = "cache policies, NAME or NAME:KEY=VALUE:..., with commas between them (default "
                 "window,select); full comes by itself",
         .target = &e->policies},
        {.name = "budget",
         .value = "LIST",
         .help = "percent of the prompt's rows (default 25)",
         .target = &e->budgets},
        {.name = "task",
         .value = "LIST",
         .help = "passkey, keys, lines, kv, trace (default passkey,keys)",
         .target = &e->tasks},
        {.name = "context",
         .value = "LIST",
         .help = "tokens of a prompt (default 512)",
         .target = &e->contexts},
        {.name = "prompts",
         .value = "N",
         .help = "of each task and context (default 100)",
         .kind = OPTION_COUNT,
         .target = &e->prompts,
         .low = 1,
         .high = 100000},
        {.name = "seed",
         .value = "N",
         .help = "of the prompts (default 1)",
         .kind = OPTION_COUNT,
         .target = &e->seed,
         .high = 1e9},
        {.name = "threads",
         .value = "N",
         .help = "prompts at a time (default 2)",
         .kind = OPTION_COUNT,
         .target = &e->threads,
         .low = 1,
         .high = 64},
        {.name = "text",
         .value = "FILE",
         .help = "running text to plant in (default: calibration.txt of the model directory)",
         .target = &e->text},
        {.name = "plan", .value = "FILE", .help = "plan.json (default: calibrated)", .target = &e->plan_path},
        {.name = "general", .help = "general gates", .kind = OPTION_FLAG, .target = &e->general},
        {.name = "json", .help = "print an array instead of tables", .kind = OPTION_FLAG, .target = &e->json},
        OPTION_END};
    TRY(options_parse(argc, argv,
                      "Measures how many answers cache policies get right, on the plaintext twin, which "
                      "computes the same integers as the parties, and what a token costs under each.",
                      NULL, options, &done, error));
    if (done)
        goto out;
    TRY_THAT(e->input.path != NULL, error, BASE_ERR_ARGUMENT,
             "--model is missing: synthetic weights answer nothing");
    TRY(read_flags(e, error));
    TRY(open_all(e, error));
    TRY(evaluate(e, error));
out:
    if (e != NULL)
        close_all(e);
    base_free(&e);
    return status;
}

const struct command command_eval = {
    "eval", "how well cache policies answer, and what a token costs under each", run, false};
