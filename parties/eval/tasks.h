/* The tasks, one file in tasks/ each. */
#ifndef CACHET_PARTIES_EVAL_TASKS_H
#define CACHET_PARTIES_EVAL_TASKS_H

#include "parties/eval/task.h"

extern const struct eval_task eval_task_passkey, eval_task_keys, eval_task_kv, eval_task_lines,
    eval_task_trace, eval_task_ppl;

#endif
