/* cachet eval: how well cache policies answer, on the plaintext twin (the same integers as on shares), beside
 * what a token costs. */
#include "base/file.h"
#include "base/memory.h"
#include "engine/cost.h"
#include "engine/share_files.h"
#include "parties/clear.h"
#include "parties/command.h"
#include "parties/eval/harness.h"
#include "parties/eval/plot.h"
#include "parties/eval/table.h"
#include "parties/model.h"
#include "parties/options.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 32, MOST_CELLS = 256, TEXT_SIZE = 4096 };

struct eval {
    struct model_input input;
    const char *policies, *budgets, *tasks, *contexts, *text, *plan_path, *out, *plot;
    uint64_t prompts, seed, threads, scored;
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
    struct eval_row key[MOST_CELLS]; /* policy and budget of a cell, as results name it */
    size_t cell_count;
    struct eval_results results;
};

/* Two ways of writing the same policy are one cell. */
static void name_cell(const struct eval_cell *cell, struct eval_row *ret)
{
    struct kv_config config = cell->config;
    *ret = (struct eval_row){.budget = config.value[KV_KEEP] > 0 ? 0 : config.value[KV_BUDGET]};
    for (size_t i = 0; i < cell->policy->options_count; i++)
        if (cell->policy->options[i].key == KV_BUDGET)
            config.value[KV_BUDGET] = cell->policy->options[i].standard;
    kv_config_print(cell->policy, &config, ret->policy);
}

static enum base_status add_cell(struct eval *e, const char *text, uint32_t budget, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eval_cell *cell = &e->cell[e->cell_count];
    struct eval_row *key = &e->key[e->cell_count];
    TRY_THAT(e->cell_count < MOST_CELLS, error, BASE_ERR_ARGUMENT, "more than %d policies and budgets",
             MOST_CELLS);
    TRY(kv_config_parse(text, budget, &cell->policy, &cell->config, error));
    name_cell(cell, key);
    for (size_t c = 0; c < e->cell_count; c++)
        if (e->key[c].budget == key->budget && strcmp(e->key[c].policy, key->policy) == 0)
            return BASE_OK;
    e->cell_count++;
out:
    return status;
}

/* Every policy under every budget; the full cache comes first. */
static enum base_status read_cells(struct eval *e, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char copy[TEXT_SIZE], *rest = copy, *part;
    (void)snprintf(copy, sizeof copy, "full,%s", e->policies);
    while ((part = options_next_part(&rest)) != NULL)
        for (size_t b = 0; b < e->budget_count; b++)
            TRY(add_cell(e, part, e->budget[b], error));
out:
    return status;
}

static enum base_status read_flags(struct eval *e, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char copy[TEXT_SIZE], *rest = copy, *part, known[EVAL_TASK_NAMES];
    size_t budget[MOST];
    const char *const lists[] = {e->budgets, e->contexts, e->tasks, e->policies};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        TRY_THAT(strlen(lists[i]) + sizeof "full," <= sizeof copy, error, BASE_ERR_ARGUMENT,
                 "a list of %zu characters, \"%.40s...\": %d at most", strlen(lists[i]), lists[i],
                 TEXT_SIZE - (int)sizeof "full,");
    eval_task_names(known);
    if (e->plot != NULL)
        TRY(eval_plot_check(e->plot, error));
    TRY(options_read_numbers("budget", e->budgets, (struct option_numbers){1, 100, MOST}, budget, &e->budget_count, error));
    for (size_t i = 0; i < e->budget_count; i++)
        e->budget[i] = (uint32_t)budget[i];
    TRY(options_read_numbers("context", e->contexts, (struct option_numbers){64, 1 << 20, MOST}, e->context,
                             &e->context_count, error));
    (void)snprintf(copy, sizeof copy, "%s", e->tasks);
    while ((part = options_next_part(&rest)) != NULL) {
        TRY_THAT(e->task_count < MOST && (e->task[e->task_count] = eval_task_find(part)) != NULL, error,
                 BASE_ERR_ARGUMENT, "there is no task \"%.40s\": choose among %s", part, known);
        e->task_count++;
    }
    TRY(read_cells(e, error));
    TRY_THAT(e->cell_count * e->task_count * e->context_count <= EVAL_MOST_ROWS, error, BASE_ERR_ARGUMENT,
             "more than %d policies, budgets, tasks and contexts together: evaluate them in parts",
             EVAL_MOST_ROWS);
out:
    return status;
}

/* Decode steps after a prompt of any task: so the plan, and with it the results, do not depend on which are
 * asked. */
static size_t most_steps(const struct eval *e)
{
    return e->scored > EVAL_ANSWER ? e->scored : EVAL_ANSWER;
}

static size_t longest(const struct eval *e)
{
    size_t most = 0;
    for (size_t i = 0; i < e->context_count; i++)
        most = e->context[i] > most ? e->context[i] : most;
    return most;
}

static struct eng_decoder_form form_of(const struct eval *e)
{
    return (struct eng_decoder_form){
        .shape = &e->model.shape, .plan = &e->plan, .weights = &e->clear.weights, .gates = &e->clear.gates};
}

static enum base_status allows(const struct eval *e, size_t cell, size_t context, struct base_error *error)
{
    struct eng_decoder_form form = form_of(e);
    form.policy = e->cell[cell].policy;
    form.config = e->cell[cell].config;
    form.context = context + most_steps(e);
    return eng_decoder_allows(&form, context, most_steps(e), error);
}

/* Whether some budget of the cell's policy is allowed in some context. */
static bool is_of_use(const struct eval *e, size_t cell)
{
    bool any = false;
    struct base_error refused = {0};
    for (size_t c = 0; c < e->cell_count; c++)
        for (size_t t = 0; t < e->context_count && strcmp(e->key[c].policy, e->key[cell].policy) == 0; t++)
            any = any || allows(e, c, e->context[t], &refused) == BASE_OK;
    return any;
}

/* Every policy with every context, before work starts: one that no context and budget allows is an error,
 * else it is left out where it is not allowed (small budgets of short prompts). */
static enum base_status check_cells(const struct eval *e, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (size_t c = 0; c < e->cell_count; c++)
        for (size_t t = 0; t < e->context_count; t++) {
            struct base_error refused = {0};
            if (allows(e, c, e->context[t], &refused) == BASE_OK)
                continue;
            TRY_THAT(is_of_use(e, c), error, refused.code, "%s", refused.text);
            (void)fprintf(stderr, "left out: %s at %zu tokens: %s\n", e->key[c].policy, e->context[t],
                          refused.text);
        }
out:
    return status;
}

/* The text that comes with the house lies beside the models. */
static enum base_status open_text(struct eval *e, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct base_file file = {0};
    char beside[TEXT_SIZE];
    const char *path = e->text;
    if (path == NULL) {
        TRY_THAT((size_t)snprintf(beside, sizeof beside, "%s/../prose.txt", e->input.path) < sizeof beside,
                 error, BASE_ERR_ARGUMENT, "--model: its path is too long");
        TRY_THAT(access(beside, R_OK) == 0, error, BASE_ERR_ARGUMENT,
                 "there is no %s: give running text that the model was not trained on with --text", beside);
        path = beside;
    }
    TRY(eval_text_open(&e->hay, e->tokenizer, path, error));
    TRY(base_file_map(&file, path, error));
    TRY(eng_sha256_hex(file.data, file.size, e->results.text, error));
out:
    base_file_unmap(&file);
    return status;
}

static enum base_status open_plan(struct eval *e, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct model_plan_options options = {.context = longest(e) + most_steps(e), .general = e->general};
    uint8_t digest[32];
    if (e->plan_path != NULL) {
        TRY(eng_plan_read(&e->plan, e->plan_path, error));
        TRY(model_check_plan(&e->model, &e->plan, e->plan_path, error));
    } else {
        TRY(model_plan(&e->model, &options, &e->plan, NULL, error));
    }
    TRY_THAT((size_t)e->plan.context >= options.context, error, BASE_ERR_RANGE,
             "%s was made for a context of %d: %zu are needed", e->plan_path, e->plan.context,
             options.context);
    TRY(eng_plan_digest(&e->plan, digest, error));
    (void)sodium_bin2hex(e->results.plan, sizeof e->results.plan, digest, sizeof digest);
out:
    return status;
}

/* What --out holds already stays and is not computed again; that it can be written is said before the work.
 */
static enum base_status open_results(struct eval *e, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eval_results before = {0};
    (void)memcpy(e->results.model, e->model.digest, sizeof e->results.model);
    e->results.seed = e->seed;
    e->results.scored = e->scored;
    if (e->out == NULL)
        return BASE_OK;
    if (access(e->out, F_OK) == 0) {
        TRY(eval_results_read(&before, e->out, error));
        TRY(eval_results_match(&e->results, &before, e->out, error));
        for (size_t i = 0; i < before.count; i++)
            TRY_THAT(before.rows[i].score.prompts == e->prompts, error, BASE_ERR_MISMATCH,
                     "%s: its prompts is %zu, of this run it is %llu: write to another file", e->out,
                     before.rows[i].score.prompts, (unsigned long long)e->prompts);
        e->results.rows = before.rows;
        e->results.count = before.count;
        e->results.room = before.room;
        before = (struct eval_results){0};
    }
    TRY(eval_results_write(&e->results, e->out, error));
out:
    eval_results_finish(&before);
    return status;
}

static enum base_status open_all(struct eval *e, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(model_open(&e->model, e->input, error));
    TRY_THAT(longest(e) <= e->model.shape.context, error, BASE_ERR_ARGUMENT,
             "a context of %zu tokens: the model was trained for %zu", longest(e), e->model.shape.context);
    TRY(model_tokenizer(&e->model, &e->tokenizer, error));
    TRY(open_text(e, error));
    TRY(open_plan(e, error));
    TRY(check_cells(e, error));
    TRY(open_results(e, error));
    TRY(clear_open(&e->clear, &e->model, &e->plan, error));
out:
    return status;
}

static void close_all(struct eval *e)
{
    clear_close(&e->clear);
    eng_plan_finish(&e->plan);
    eval_text_close(&e->hay);
    eval_results_finish(&e->results);
    eng_tokenizer_close(&e->tokenizer);
    model_close(&e->model);
}

/* Bytes and rounds of a token, layers and all. */
static enum base_status price(const struct eval *e, size_t cell, struct eval_row *row,
                              struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_decoder_form form = form_of(e);
    struct eng_plan plan = e->plan; /* borrows what e->plan holds */
    struct eng_cost cost;
    size_t steps;
    form.policy = e->cell[cell].policy;
    form.config = e->cell[cell].config;
    TRY(eng_decoder_period(&form, row->context, &steps, error));
    form.context = row->context + steps;
    /* The steps that are priced may be more than those that are evaluated. */
    if (form.context > (size_t)plan.context)
        plan.context = (int)form.context;
    form.plan = &plan;
    TRY(eng_cost_count(&cost, &form, row->context, NULL, error));
    row->bytes = (double)(cost.decode.online + cost.decode.offline) / (double)cost.steps;
    row->rounds = (double)cost.decode.rounds / (double)cost.steps;
out:
    return status;
}

/* The cells of one task and context that have no row yet: they get one, and the file is written. */
static enum base_status evaluate_cells(struct eval *e, const struct eval_task *task, size_t context,
                                       struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eval_cell cell[MOST_CELLS];
    struct eval_row row[MOST_CELLS];
    struct eval_score score[MOST_CELLS];
    struct eval_form form = {.decoder = form_of(e),
                             .tokenizer = e->tokenizer,
                             .text = &e->hay,
                             .cells = cell,
                             .prompts = e->prompts,
                             .threads = e->threads,
                             .scored = e->scored,
                             .seed = e->seed};
    for (size_t c = 0; c < e->cell_count; c++) {
        struct eval_row key = eval_row_at(&e->key[c], task, context);
        struct base_error refused = {0};
        if (eval_results_find(&e->results, &key) != NULL || allows(e, c, context, &refused) != BASE_OK)
            continue;
        TRY(price(e, c, &key, error));
        row[form.cell_count] = key;
        cell[form.cell_count++] = e->cell[c];
    }
    if (form.cell_count == 0)
        return BASE_OK;
    TRY(eval_run(&form, task, context, score, error));
    for (size_t c = 0; c < form.cell_count; c++) {
        row[c].score = score[c];
        TRY(eval_results_add(&e->results, &row[c], error));
    }
    if (e->out != NULL)
        TRY(eval_results_write(&e->results, e->out, error));
out:
    return status;
}

static enum base_status evaluate(struct eval *e, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (size_t t = 0; t < e->context_count; t++)
        for (size_t k = 0; k < e->task_count; k++) {
            TRY(evaluate_cells(e, e->task[k], e->context[t], error));
            if (!e->json)
                eval_table_print(&e->results, e->key, e->cell_count, e->task[k], e->context[t]);
        }
    if (e->json) {
        json_t *root = eval_results_to_json(&e->results);
        (void)json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
        (void)putchar('\n');
        json_decref(root);
    }
    if (e->plot != NULL)
        TRY(eval_plot(&e->results, e->plot, error));
out:
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
                       .scored = EVAL_SCORED,
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
         .help = "passkey, keys, lines, kv, trace: right answers; ppl: perplexity, agreement with the full "
                 "cache and "
                 "KL on running text (default passkey,keys)",
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
        {.name = "scored",
         .value = "N",
         .help = "task ppl: decode steps after each prompt that are scored (default 32)",
         .kind = OPTION_COUNT,
         .target = &e->scored,
         .low = 1,
         .high = 4096},
        {.name = "text",
         .value = "FILE",
         .help =
             "running text, without such facts and unseen in training (default: prose.txt beside the model "
             "directory)",
         .target = &e->text},
        {.name = "plan", .value = "FILE", .help = "plan.json (default: calibrated)", .target = &e->plan_path},
        {.name = "general", .help = "general gates", .kind = OPTION_FLAG, .target = &e->general},
        {.name = "out",
         .value = "FILE",
         .help = "results as JSON, written as they come; those that it holds already are not computed again",
         .target = &e->out},
        {.name = "plot",
         .value = "FILE",
         .help = "picture of all results, .svg or .png, drawn by gnuplot; its script stays beside it",
         .target = &e->plot},
        {.name = "json",
         .help = "print an object instead of tables",
         .kind = OPTION_FLAG,
         .target = &e->json},
        OPTION_END};
    TRY(options_parse(
        argc, argv,
        "Measures how many answers cache policies get right and how well they predict text, on the plaintext "
        "twin, which computes the same integers as the parties, and what a token costs under each.",
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
