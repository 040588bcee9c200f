/* passkey: one number in the text (Mohtashami and Jaggi, arXiv 2305.16300). */
#include "parties/eval/tasks.h"

const struct eval_task eval_task_passkey = {.name = "passkey",
                                            .summary = "one pass key in running text",
                                            .plant = {" The pass key is{v}. Remember it."},
                                            .question = " What is the pass key? The pass key is",
                                            .items = 1};
