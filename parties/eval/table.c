#include "parties/eval/table.h"

#include <stdio.h>
#include <string.h>

void eval_budget_print(const struct eval_row *row, char ret[EVAL_BUDGET_TEXT])
{
    bool full = strcmp(row->policy, kv_policy_full.name) == 0;
    if (row->budget == 0 && !full)
        (void)snprintf(ret, EVAL_BUDGET_TEXT, "-");
    else
        (void)snprintf(ret, EVAL_BUDGET_TEXT, "%u %%", full ? 100 : row->budget);
}

static void print_row(const struct eval_row *row)
{
    char budget[EVAL_BUDGET_TEXT];
    struct eval_share share = eval_row_quality(row);
    eval_budget_print(row, budget);
    (void)printf("%-44s %7s ", row->policy, budget);
    if (row->task->items == 0)
        (void)printf("%10.2f %8.4f ", eval_score_perplexity(&row->score), eval_score_divergence(&row->score));
    (void)printf("%6.1f %% %5.1f to %5.1f %12.0f %8.1f", share.percent, share.low, share.high,
                 row->bytes * 1e-3, row->rounds);
    if (row->score.voids > 0)
        (void)printf("  %zu void", row->score.voids);
    (void)putchar('\n');
}

void eval_table_print(const struct eval_results *results, const struct eval_row *cells, size_t cell_count,
                      const struct eval_task *task, size_t context)
{
    bool running = task->items == 0;
    struct eval_row key = eval_row_at(&cells[0], task, context);
    const struct eval_row *first = eval_results_find(results, &key);
    (void)printf("\n%s, %zu tokens, %zu prompts", task->name, context, first->score.prompts);
    if (running)
        (void)printf(", %llu steps each", (unsigned long long)results->scored);
    (void)printf("\n%-44s %7s ", "policy", "budget");
    if (running)
        (void)printf("%10s %8s ", "perplexity", "KL, nats");
    (void)printf("%8s %14s %12s %8s\n", running ? "agrees" : "right", "95 %", "kB / token", "rounds");
    for (size_t c = 0; c < cell_count; c++) {
        key = eval_row_at(&cells[c], task, context);
        const struct eval_row *row = eval_results_find(results, &key);
        if (row != NULL)
            print_row(row);
    }
    (void)fflush(stdout);
}
