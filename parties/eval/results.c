#include "parties/eval/results.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/formats/json_memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CONTEXT = 1 << 20, MOST_COUNT = 1 << 30, MOST_BYTES = 8 << 20 };

void eval_results_finish(struct eval_results *results)
{
    base_free(&results->rows);
    *results = (struct eval_results){0};
}

struct eval_row eval_row_at(const struct eval_row *cell, const struct eval_task *task, size_t context)
{
    struct eval_row row = *cell;
    row.task = task;
    row.context = context;
    return row;
}

struct eval_row *eval_results_find(const struct eval_results *results, const struct eval_row *row)
{
    for (size_t i = 0; i < results->count; i++) {
        struct eval_row *known = &results->rows[i];
        if (known->task == row->task && known->context == row->context && known->budget == row->budget &&
            strcmp(known->policy, row->policy) == 0)
            return known;
    }
    return NULL;
}

enum base_status eval_results_add(struct eval_results *r, const struct eval_row *row,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(base_grow(&r->rows, &r->room, r->count + 1, sizeof *row, error));
    r->rows[r->count++] = *row;
out:
    return status;
}

struct eval_share eval_row_quality(const struct eval_row *row)
{
    return eval_score_quality(&row->score, row->task->items == 0);
}

static enum base_status match_text(const char *key, const char *a, const char *b, const char *path,
                                   struct base_error *error)
{
    if (strcmp(a, b) == 0)
        return BASE_OK;
    return base_fail(
        error, BASE_ERR_MISMATCH,
        "%s: its %s is %.12s..., of this run it is %.12s...: write to another file, or evaluate with the "
        "same model, text and --plan",
        path, key, b, a);
}

static enum base_status match_number(const char *key, uint64_t a, uint64_t b, const char *path,
                                     struct base_error *error)
{
    if (a == b)
        return BASE_OK;
    return base_fail(error, BASE_ERR_MISMATCH,
                     "%s: its %s is %llu, of this run it is %llu: write to another file", path, key,
                     (unsigned long long)b, (unsigned long long)a);
}

enum base_status eval_results_match(const struct eval_results *a, const struct eval_results *b,
                                    const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(match_text("model", a->model, b->model, path, error));
    TRY(match_text("text", a->text, b->text, path, error));
    TRY(match_text("plan", a->plan, b->plan, path, error));
    TRY(match_number("seed", a->seed, b->seed, path, error));
    TRY(match_number("scored", a->scored, b->scored, path, error));
out:
    return status;
}

/* --- writing ----------------------------------------------------------------------------------------- */

static json_t *json_of_quality(const struct eval_row *row)
{
    const struct eval_score *s = &row->score;
    struct eval_share share = eval_row_quality(row);
    if (row->task->items > 0)
        return json_pack("{s:I, s:f, s:f, s:f}", "hits", (json_int_t)s->hits, "right", share.percent,
                         "right_low", share.low, "right_high", share.high);
    return json_pack("{s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "steps", (json_int_t)s->steps, "agreed",
                     (json_int_t)s->agreed, "nats_per_token", s->steps == 0 ? 0 : s->nats / (double)s->steps,
                     "perplexity", eval_score_perplexity(s), "agreement", share.percent, "agreement_low",
                     share.low, "agreement_high", share.high, "kl_nats", eval_score_divergence(s));
}

static json_t *json_of_row(const struct eval_row *row)
{
    json_t *budget = row->budget == 0 ? json_null() : json_integer((json_int_t)row->budget);
    json_t *root = json_pack("{s:s, s:I, s:s, s:o, s:I, s:I}", "task", row->task->name, "context",
                             (json_int_t)row->context, "policy", row->policy, "budget_percent", budget,
                             "prompts", (json_int_t)row->score.prompts, "void", (json_int_t)row->score.voids);
    (void)json_object_update_new(root, json_of_quality(row));
    (void)json_object_update_new(
        root, json_pack("{s:f, s:f}", "bytes_per_token", row->bytes, "rounds_per_token", row->rounds));
    return root;
}

json_t *eval_results_to_json(const struct eval_results *r)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < r->count; i++)
        (void)json_array_append_new(rows, json_of_row(&r->rows[i]));
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:o}", "model", r->model, "plan", r->plan, "text", r->text,
                     "seed", (json_int_t)r->seed, "scored", (json_int_t)r->scored, "rows", rows);
}

enum base_status eval_results_write(const struct eval_results *results, const char *path,
                                    struct base_error *error)
{
    eng_json_watch();
    json_t *root = eval_results_to_json(results);
    enum base_status status = eng_json_write(root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(12), error);
    json_decref(root);
    return status;
}

/* --- reading ----------------------------------------------------------------------------------------- */

/* An object of the file, and how errors call it. */
struct place {
    const json_t *object;
    const char *path;
    char name[32]; /* "" or "rows[3]." */
};

static enum base_status take(const struct place *at, const char *key, const json_t **ret,
                             struct base_error *error)
{
    *ret = json_object_get(at->object, key);
    if (*ret != NULL)
        return BASE_OK;
    return base_fail(error, BASE_ERR_FORMAT, "%s: %s%s is missing: give a file that cachet eval --out wrote",
                     at->path, at->name, key);
}

static enum base_status take_text(const struct place *at, const char *key, char *ret, size_t size,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    const json_t *value;
    TRY(take(at, key, &value, error));
    TRY_THAT(json_is_string(value) && json_string_length(value) < size, error, BASE_ERR_FORMAT,
             "%s: %s%s must be a text of at most %zu bytes", at->path, at->name, key, size - 1);
    (void)base_text_clean(ret, size, json_string_value(value), json_string_length(value));
out:
    return status;
}

static enum base_status take_count(const struct place *at, const char *key, size_t low, size_t high,
                                   size_t *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const json_t *value;
    TRY(take(at, key, &value, error));
    TRY_THAT(json_is_integer(value), error, BASE_ERR_FORMAT, "%s: %s%s must be a whole number of %zu to %zu",
             at->path, at->name, key, low, high);
    json_int_t number = json_integer_value(value);
    TRY_THAT(number >= 0 && (size_t)number >= low && (size_t)number <= high, error, BASE_ERR_FORMAT,
             "%s: %s%s is %lld: must be a whole number of %zu to %zu", at->path, at->name, key,
             (long long)number, low, high);
    *ret = (size_t)number;
out:
    return status;
}

static enum base_status take_real(const struct place *at, const char *key, double most, double *ret,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    const json_t *value;
    TRY(take(at, key, &value, error));
    TRY_THAT(json_is_number(value), error, BASE_ERR_FORMAT, "%s: %s%s must be a number of 0 to %g", at->path,
             at->name, key, most);
    double number = json_number_value(value);
    TRY_THAT(number >= 0 && number <= most, error, BASE_ERR_FORMAT,
             "%s: %s%s is %g: must be a number of 0 to %g", at->path, at->name, key, number, most);
    *ret = number;
out:
    return status;
}

static enum base_status take_score(const struct place *at, struct eval_row *row, struct base_error *error)
{
    enum { MOST_NATS = 1000 };
    enum base_status status = BASE_OK;
    struct eval_score *s = &row->score;
    TRY(take_count(at, "prompts", 1, MOST_COUNT, &s->prompts, error));
    TRY(take_count(at, "void", 0, s->prompts, &s->voids, error));
    if (row->task->items > 0) {
        TRY(take_count(at, "hits", 0, s->prompts - s->voids, &s->hits, error));
        return BASE_OK;
    }
    TRY(take_count(at, "steps", 0, MOST_COUNT, &s->steps, error));
    TRY(take_count(at, "agreed", 0, s->steps, &s->agreed, error));
    TRY(take_real(at, "nats_per_token", MOST_NATS, &s->nats, error));
    TRY(take_real(at, "kl_nats", MOST_NATS, &s->divergence, error));
    s->nats *= (double)s->steps;
    s->divergence *= (double)s->steps;
out:
    return status;
}

/* Task, policy and budget, which must exist. */
static enum base_status take_names(const struct place *at, struct eval_row *row, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char name[32], known[EVAL_TASK_NAMES];
    const struct kv_policy *policy;
    struct kv_config config;
    struct base_error reason = {0};
    const json_t *budget;
    size_t percent = 0;
    TRY(take_text(at, "task", name, sizeof name, error));
    eval_task_names(known);
    row->task = eval_task_find(name);
    TRY_THAT(row->task != NULL, error, BASE_ERR_FORMAT, "%s: %stask is \"%s\": must be one of %s", at->path,
             at->name, name, known);
    TRY(take_text(at, "policy", row->policy, sizeof row->policy, error));
    TRY(take(at, "budget_percent", &budget, error));
    if (!json_is_null(budget))
        TRY(take_count(at, "budget_percent", 1, 100, &percent, error));
    row->budget = (uint32_t)percent;
    TRY_THAT(kv_config_parse(row->policy, row->budget, &policy, &config, &reason) == BASE_OK, error,
             BASE_ERR_FORMAT, "%s: %spolicy: %s", at->path, at->name, reason.text);
    TRY_THAT(row->budget == 0 || kv_policy_takes(policy, KV_BUDGET), error, BASE_ERR_FORMAT,
             "%s: %sbudget_percent is %u: policy %s takes none, it must be null", at->path, at->name,
             row->budget, policy->name);
out:
    return status;
}

static enum base_status read_row(const struct place *at, struct eval_row *row, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY_THAT(json_is_object(at->object), error, BASE_ERR_FORMAT, "%s: %.*s must be an object", at->path,
             (int)strlen(at->name) - 1, at->name);
    TRY(take_names(at, row, error));
    TRY(take_count(at, "context", 1, MOST_CONTEXT, &row->context, error));
    TRY(take_score(at, row, error));
    TRY(take_real(at, "bytes_per_token", 1e18, &row->bytes, error));
    TRY(take_real(at, "rounds_per_token", 1e9, &row->rounds, error));
out:
    return status;
}

static enum base_status read_rows(struct eval_results *r, const struct place *root, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const json_t *rows;
    TRY(take(root, "rows", &rows, error));
    TRY_THAT(json_is_array(rows), error, BASE_ERR_FORMAT, "%s: rows must be an array", root->path);
    TRY_THAT(json_array_size(rows) <= EVAL_MOST_ROWS, error, BASE_ERR_FORMAT,
             "%s: rows has %zu entries: %d at most", root->path, json_array_size(rows), EVAL_MOST_ROWS);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        struct place at = {.object = json_array_get(rows, i), .path = root->path};
        struct eval_row row = {0};
        (void)snprintf(at.name, sizeof at.name, "rows[%zu].", i);
        TRY(read_row(&at, &row, error));
        TRY_THAT(eval_results_find(r, &row) == NULL, error, BASE_ERR_FORMAT,
                 "%s: rows[%zu]: policy %s is there twice for task %s and context %zu", root->path, i,
                 row.policy, row.task->name, row.context);
        TRY(eval_results_add(r, &row, error));
    }
out:
    return status;
}

/* eng_json_load takes files of 1 MB; the rows of a long evaluation take more. */
static enum base_status load(const char *path, json_t **ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct base_file file = {0};
    json_error_t reason;
    TRY(base_file_map(&file, path, error));
    TRY_THAT(file.size <= MOST_BYTES, error, BASE_ERR_FORMAT,
             "%s has %zu bytes: an evaluation has %d at most", path, file.size, MOST_BYTES);
    *ret = eng_json_read(file.data, file.size, JSON_REJECT_DUPLICATES, &reason);
    if (*ret == NULL)
        TRY(eng_json_check_memory(path, error));
    TRY_THAT(*ret != NULL, error, BASE_ERR_FORMAT, "%s:%d: %s", path, reason.line, reason.text);
out:
    base_file_unmap(&file);
    return status;
}

enum base_status eval_results_read(struct eval_results *ret, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eval_results r = {0};
    json_t *root = NULL;
    size_t seed, scored;
    TRY(load(path, &root, error));
    struct place at = {.object = root, .path = path};
    TRY_THAT(json_is_object(root), error, BASE_ERR_FORMAT,
             "%s: must hold one object: give a file that cachet eval --out wrote", path);
    TRY(take_text(&at, "model", r.model, sizeof r.model, error));
    TRY(take_text(&at, "plan", r.plan, sizeof r.plan, error));
    TRY(take_text(&at, "text", r.text, sizeof r.text, error));
    TRY(take_count(&at, "seed", 0, MOST_COUNT, &seed, error));
    TRY(take_count(&at, "scored", 1, MOST_COUNT, &scored, error));
    r.seed = seed;
    r.scored = scored;
    TRY(read_rows(&r, &at, error));
    *ret = r;
    r = (struct eval_results){0};
out:
    json_decref(root);
    eval_results_finish(&r);
    return status;
}
