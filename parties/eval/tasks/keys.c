/* keys: four named numbers in the text, one is asked for (RULER's multi-key needle, arXiv 2404.06654). */
#include "parties/eval/tasks.h"

const struct eval_task eval_task_keys = {
    .name = "keys",
    .summary = "four named codes in running text, one is asked for",
    .plant = {" The secret code of the{k} is{v}."},
    .question = " What is the secret code of the{k}? The secret code of the{k} is",
    .items = 4};
