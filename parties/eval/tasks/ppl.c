/* ppl: running text without planted facts, whose next tokens are scored one by one (perplexity, and agreement
 * with the full cache). */
#include "parties/eval/tasks.h"

const struct eval_task eval_task_ppl = {.name = "ppl",
                                        .summary = "running text: how well the next tokens are predicted"};
