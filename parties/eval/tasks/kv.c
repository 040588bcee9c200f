/* kv: eight pairs of a name and a number, one is asked for (SCBench's retrieval, arXiv 2412.10319). */
#include "parties/eval/tasks.h"

const struct eval_task eval_task_kv = {.name = "kv",
                                       .summary = "eight lines of key and value, one is asked for",
                                       .plant = {"\nkey{k}:{v}"},
                                       .question = "\nFind key{k}.\nkey{k}:",
                                       .items = 8};
