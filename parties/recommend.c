#include "parties/recommend.h"

#include "base/memory.h"
#include "parties/eval/table.h"
#include "parties/options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TASKS = 16, TASKS_TEXT = 256 };

static const char *const verdict_names[] = {
    [RECOMMEND_PICKED] = "picked",
    [RECOMMEND_BEATEN] = "",
    [RECOMMEND_BELOW_FLOOR] = "below the floor",
    [RECOMMEND_DEARER] = "dearer than full: never picked",
    [RECOMMEND_NOT_MEASURED] = "not measured",
    [RECOMMEND_REFUSED] = "not allowed here",
};

const char *recommend_verdict_name(enum recommend_verdict verdict)
{
    return verdict_names[verdict];
}

/* --- quality ----------------------------------------------------------------------------------------- */

struct tasks {
    const struct eval_task *task[MOST_TASKS];
    size_t context[MOST_TASKS]; /* at which each counts */
    size_t count;
};

static bool is_full(const struct eval_row *row)
{
    return strcmp(row->policy, kv_policy_full.name) == 0;
}

static enum base_status add_task(struct tasks *tasks, const struct eval_task *task, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (size_t i = 0; i < tasks->count; i++)
        if (tasks->task[i] == task)
            return BASE_OK;
    TRY_THAT(tasks->count < MOST_TASKS, error, BASE_ERR_ARGUMENT, "more than %d tasks", MOST_TASKS);
    tasks->task[tasks->count++] = task;
out:
    return status;
}

static enum base_status list_tasks(struct tasks *tasks, const struct recommend_form *f,
                                   struct base_error *error)
{
    enum base_status status = BASE_OK;
    char copy[TASKS_TEXT], *rest = copy, *part, known[EVAL_TASK_NAMES];
    if (f->tasks == NULL) {
        for (size_t i = 0; i < f->results->count; i++)
            TRY(add_task(tasks, f->results->rows[i].task, error));
        return BASE_OK;
    }
    eval_task_names(known);
    (void)snprintf(copy, sizeof copy, "%s", f->tasks);
    while ((part = options_next_part(&rest)) != NULL) {
        const struct eval_task *task = eval_task_find(part);
        TRY_THAT(task != NULL, error, BASE_ERR_ARGUMENT, "there is no task \"%.40s\": choose among %s", part,
                 known);
        TRY(add_task(tasks, task, error));
    }
out:
    return status;
}

/* The context of a task's results that is nearest to the wanted one; the full cache must have been measured
 * there. */
static enum base_status choose_context(const struct recommend_form *f, const struct eval_task *task,
                                       size_t *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    bool any = false;
    double nearest = INFINITY;
    for (size_t i = 0; i < f->results->count; i++) {
        const struct eval_row *row = &f->results->rows[i];
        double far = fabs(log((double)row->context / (double)f->context));
        any = any || row->task == task;
        if (row->task != task || !is_full(row) || far > nearest || (far == nearest && row->context < *ret))
            continue;
        nearest = far;
        *ret = row->context;
    }
    TRY_THAT(any, error, BASE_ERR_ARGUMENT,
             "%s has no row of task %s: choose another with --task, or evaluate it", f->path, task->name);
    TRY_THAT(nearest < INFINITY, error, BASE_ERR_FORMAT,
             "%s has no row of policy full for task %s: evaluate it again", f->path, task->name);
out:
    return status;
}

static struct recommend_choice *find_choice(const struct recommendation *r, const struct eval_row *key)
{
    for (size_t c = 0; c < r->count; c++)
        if (r->choices[c].key.budget == key->budget && strcmp(r->choices[c].key.policy, key->policy) == 0)
            return &r->choices[c];
    return NULL;
}

static enum base_status add_choice(struct recommendation *r, const struct eval_row *row,
                                   struct base_error *error)
{
    struct recommend_choice choice = {.key = *row};
    if (find_choice(r, row) != NULL)
        return BASE_OK;
    enum base_status status =
        kv_config_parse(row->policy, row->budget, &choice.policy, &choice.config, error);
    if (status == BASE_OK)
        r->choices[r->count++] = choice;
    return status;
}

static void judge_quality(struct recommendation *r, const struct tasks *tasks, struct recommend_choice *c)
{
    c->verdict = RECOMMEND_BEATEN;
    for (size_t k = 0; k < tasks->count; k++) {
        struct eval_row key = eval_row_at(&c->key, tasks->task[k], tasks->context[k]);
        const struct eval_row *row = eval_results_find(r->form.results, &key);
        if (row == NULL) {
            c->verdict = RECOMMEND_NOT_MEASURED;
            c->worst = NULL;
            return;
        }
        if (c->worst == NULL || eval_row_quality(row).percent < eval_row_quality(c->worst).percent)
            c->worst = row;
    }
    if (eval_row_quality(c->worst).percent < r->form.floor)
        c->verdict = RECOMMEND_BELOW_FLOOR;
}

/* Before there is a plan: whether the policy allows the request, and after how many tokens its cost repeats.
 */
static void judge_request(struct recommendation *r, const struct eng_plan *layers, struct recommend_choice *c)
{
    struct base_error refused = {0};
    size_t steps;
    struct eng_decoder_form form = {.shape = r->form.shape,
                                    .plan = layers,
                                    .policy = c->policy,
                                    .config = c->config,
                                    .context = r->form.context};
    if (eng_decoder_period(&form, r->form.context, &steps, &refused) != BASE_OK) {
        c->verdict = RECOMMEND_REFUSED;
        return;
    }
    r->steps = steps > r->steps ? steps : r->steps;
}

enum base_status recommend_init(struct recommendation *ret, const struct recommend_form *form,
                                struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct recommendation r = {.form = *form, .steps = 1};
    struct tasks tasks = {0};
    struct eng_plan layers = {.layers = form->shape->layers};
    const struct eval_results *results = form->results;
    TRY_THAT(results->count > 0, error, BASE_ERR_FORMAT,
             "%s: rows is empty: evaluate first (cachet eval --out)", form->path);
    TRY(list_tasks(&tasks, form, error));
    for (size_t k = 0; k < tasks.count; k++) {
        TRY(choose_context(form, tasks.task[k], &tasks.context[k], error));
        r.nearest = k == 0 || tasks.context[k] < r.nearest ? tasks.context[k] : r.nearest;
        r.farthest = tasks.context[k] > r.farthest ? tasks.context[k] : r.farthest;
    }
    TRY(base_alloc(&r.choices, results->count, sizeof *r.choices, error));
    for (int others = 0; others < 2; others++)
        for (size_t i = 0; i < results->count; i++)
            if (is_full(&results->rows[i]) == (others == 0))
                TRY(add_choice(&r, &results->rows[i], error));
    TRY(kv_profile_init_uniform(&layers.profile, form->shape->layers, form->shape->kv_heads, error));
    for (size_t c = 0; c < r.count; c++) {
        judge_quality(&r, &tasks, &r.choices[c]);
        judge_request(&r, &layers, &r.choices[c]);
    }
    *ret = r;
    r.choices = NULL;
out:
    eng_plan_finish(&layers);
    base_free(&r.choices);
    return status;
}

void recommend_finish(struct recommendation *r)
{
    base_free(&r->choices);
}

/* --- cost -------------------------------------------------------------------------------------------- */

static bool is_counted(const struct recommend_choice *c)
{
    return c->verdict != RECOMMEND_NOT_MEASURED && c->verdict != RECOMMEND_REFUSED;
}

static bool is_cheaper(const struct recommend_choice *a, const struct recommend_choice *b)
{
    return a->seconds < b->seconds || (a->seconds == b->seconds && a->bytes < b->bytes);
}

static enum base_status count_choice(const struct recommendation *r, const struct eng_plan *plan,
                                     struct recommend_choice *c, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct recommend_form *f = &r->form;
    struct eng_cost cost;
    struct eng_decoder_form form = {.shape = f->shape,
                                    .plan = plan,
                                    .policy = c->policy,
                                    .config = c->config,
                                    .context = f->context + r->steps};
    TRY(eng_cost_count(&cost, &form, f->context, NULL, error));
    double tokens = (double)f->answer / (double)cost.steps;
    struct time_work prompt = time_of_prefill(&cost, f->shape, f->context),
                     decode = time_of_decode(&cost, f->shape);
    c->prompt_seconds = time_on_link(&f->link, &prompt);
    c->token_seconds = time_on_link(&f->link, &decode) / (double)cost.steps;
    c->seconds = c->prompt_seconds + (double)f->answer * c->token_seconds;
    c->bytes = (double)(cost.prefill.online + cost.prefill.offline) +
               tokens * (double)(cost.decode.online + cost.decode.offline);
out:
    return status;
}

/* What was not counted stands last. */
static int by_cost(const void *a, const void *b)
{
    const struct recommend_choice *x = a, *y = b;
    if (is_counted(x) != is_counted(y))
        return is_counted(x) ? -1 : 1;
    return is_cheaper(x, y) ? -1 : is_cheaper(y, x);
}

/* The cheapest choice that is good enough, `but` being left out; count: there is none. */
static size_t cheapest(const struct recommendation *r, size_t but)
{
    size_t best = r->count;
    for (size_t c = 0; c < r->count; c++)
        if (c != but && r->choices[c].verdict == RECOMMEND_BEATEN &&
            (best == r->count || is_cheaper(&r->choices[c], &r->choices[best])))
            best = c;
    return best;
}

enum base_status recommend_count(struct recommendation *r, const struct eng_plan *plan,
                                 struct base_progress *progress, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (size_t c = 0; c < r->count; c++) {
        struct recommend_choice *choice = &r->choices[c];
        if (is_counted(choice))
            TRY(count_choice(r, plan, choice, error));
        if (is_counted(choice) && is_counted(&r->choices[0]) && is_cheaper(&r->choices[0], choice))
            choice->verdict = RECOMMEND_DEARER;
        if (progress != NULL)
            base_progress_update(progress, c + 1, 0);
    }
    qsort(r->choices + 1, r->count - 1, sizeof *r->choices, by_cost);
    r->picked = cheapest(r, r->count);
    r->second = cheapest(r, r->picked);
    if (r->picked < r->count)
        r->choices[r->picked].verdict = RECOMMEND_PICKED;
out:
    return status;
}

/* --- report ------------------------------------------------------------------------------------------ */

static void print_choice(const struct recommend_choice *c)
{
    char budget[EVAL_BUDGET_TEXT];
    eval_budget_print(&c->key, budget);
    (void)printf("%-36s %7s ", c->key.policy, budget);
    if (is_counted(c)) {
        struct eval_share share = eval_row_quality(c->worst);
        (void)printf("%6.1f %% %6.1f  %-8s %10.3f %10.4f %10.3f %10.1f", share.percent, share.low,
                     c->worst->task->name, c->prompt_seconds, c->token_seconds, c->seconds, c->bytes * 1e-6);
    } else {
        (void)printf("%8s %6s  %-8s %10s %10s %10s %10s", "-", "-", "-", "-", "-", "-", "-");
    }
    const char *verdict = recommend_verdict_name(c->verdict);
    (void)printf("%s%s\n", *verdict == '\0' ? "" : "  ", verdict);
}

/* How many times dearer b is than a. */
static void print_ratio(const char *name, const struct recommend_choice *a, const struct recommend_choice *b)
{
    char budget[EVAL_BUDGET_TEXT];
    eval_budget_print(&b->key, budget);
    (void)printf("  %s %s (%s): %.2f times the seconds, %.2f times the bytes\n", name, b->key.policy, budget,
                 b->seconds / a->seconds, b->bytes / a->bytes);
}

static void print_answer(const struct recommendation *r)
{
    char budget[EVAL_BUDGET_TEXT];
    const struct recommend_choice *full = &r->choices[0];
    if (r->picked == r->count) {
        (void)printf("\nnothing reaches the floor of %.4g %%", r->form.floor);
        if (is_counted(full))
            (void)printf(": the full cache itself has %.1f %%", eval_row_quality(full->worst).percent);
        (void)putchar('\n');
        return;
    }
    const struct recommend_choice *c = &r->choices[r->picked];
    eval_budget_print(&c->key, budget);
    (void)printf("\npicked: %s (%s), %.3f s and %.1f MB\n", c->key.policy, budget, c->seconds,
                 c->bytes * 1e-6);
    if (c != full && is_counted(full))
        print_ratio("the full cache,", c, full);
    if (r->second < r->count && &r->choices[r->second] != full)
        print_ratio("the runner-up,", c, &r->choices[r->second]);
    struct eval_share share = eval_row_quality(c->worst);
    if (share.low < r->form.floor)
        (void)printf("  its 95 %% interval reaches down to %.1f %%: more prompts would tell\n", share.low);
}

static void print_table(const struct recommendation *r, const char *model)
{
    const struct recommend_form *f = &r->form;
    (void)printf("prompt of %zu tokens and %zu more; link of %.3g ms round trip and %.4g Mbit/s; floor %.4g "
                 "%%; quality "
                 "measured at %zu",
                 f->context, f->answer, f->link.rtt_ms, f->link.mbit, f->floor, r->nearest);
    if (r->farthest != r->nearest)
        (void)printf(" to %zu", r->farthest);
    (void)printf(" tokens\n");
    if (2 * r->farthest < f->context || r->nearest > 2 * f->context)
        (void)printf("quality may differ at %zu tokens: evaluate nearer\n", f->context);
    if (model == NULL || strcmp(model, f->results->model) != 0)
        (void)printf("quality was measured with another model, %.12s...\n", f->results->model);
    (void)printf("\n%-36s %7s %8s %6s  %-8s %10s %10s %10s %10s\n", "policy", "budget", "quality", "low",
                 "worst at", "prompt, s", "token, s", "request, s", "MB");
    for (size_t c = 0; c < r->count; c++)
        print_choice(&r->choices[c]);
    print_answer(r);
}

static json_t *json_of_choice(const struct recommend_choice *c)
{
    json_t *budget = c->key.budget == 0 ? json_null() : json_integer((json_int_t)c->key.budget);
    const char *verdict = c->verdict == RECOMMEND_BEATEN ? "beaten" : recommend_verdict_name(c->verdict);
    json_t *root =
        json_pack("{s:s, s:o, s:s}", "policy", c->key.policy, "budget_percent", budget, "verdict", verdict);
    if (!is_counted(c))
        return root;
    struct eval_share share = eval_row_quality(c->worst);
    (void)json_object_update_new(
        root, json_pack("{s:f, s:f, s:f, s:s, s:I, s:f, s:f, s:f, s:f}", "quality", share.percent,
                        "quality_low", share.low, "quality_high", share.high, "task", c->worst->task->name,
                        "measured_at", (json_int_t)c->worst->context, "prompt_seconds", c->prompt_seconds,
                        "token_seconds", c->token_seconds, "seconds", c->seconds, "bytes", c->bytes));
    return root;
}

static void print_json(const struct recommendation *r, const char *model)
{
    const struct recommend_form *f = &r->form;
    json_t *choices = json_array();
    for (size_t c = 0; c < r->count; c++)
        (void)json_array_append_new(choices, json_of_choice(&r->choices[c]));
    json_t *root = json_pack(
        "{s:I, s:I, s:f, s:f, s:f, s:b, s:o, s:o, s:o}", "context", (json_int_t)f->context, "answer",
        (json_int_t)f->answer, "floor", f->floor, "rtt_ms", f->link.rtt_ms, "mbit", f->link.mbit,
        "same_model", model != NULL && strcmp(model, f->results->model) == 0, "picked",
        r->picked < r->count ? json_of_choice(&r->choices[r->picked]) : json_null(), "second",
        r->second < r->count ? json_of_choice(&r->choices[r->second]) : json_null(), "choices", choices);
    (void)json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(8));
    (void)putchar('\n');
    json_decref(root);
}

void recommend_print(const struct recommendation *r, const char *model, bool json)
{
    if (json)
        print_json(r, model);
    else
        print_table(r, model);
}
