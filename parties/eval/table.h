/* Results as people read them. */
#ifndef CACHET_PARTIES_EVAL_TABLE_H
#define CACHET_PARTIES_EVAL_TABLE_H

#include "parties/eval/results.h"

enum { EVAL_BUDGET_TEXT = 16 };
/* "25 %", "-" for a policy that takes none, "100 %" for the full cache. */
void eval_budget_print(const struct eval_row *row, char ret[EVAL_BUDGET_TEXT]);
/* On standard output: one task in one context, a line per cell (policy and budget), all of which have rows.
 */
void eval_table_print(const struct eval_results *results, const struct eval_row *cells, size_t cell_count,
                      const struct eval_task *task, size_t context);

#endif
