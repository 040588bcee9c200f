/* lines: eight lines with a registered number each, one is asked for (LongEval's lines, LMSYS 2023). */
#include "parties/eval/tasks.h"

const struct eval_task eval_task_lines = {
    .name = "lines",
    .summary = "eight lines with a registered number, one is asked for",
    .plant = {"\nline{k}: REGISTER_CONTENT is{v}"},
    .question = "\nTell me the content of line{k}.\nline{k}: REGISTER_CONTENT is",
    .items = 8};
