/* trace: two chains of two hops, one is asked for (RULER's variable tracking, arXiv 2404.06654). */
#include "parties/eval/tasks.h"

const struct eval_task eval_task_trace = {.name = "trace",
                                          .summary =
                                              "a variable that is another one's value: two hops, two chains",
                                          .plant = {" VAR{k} ={v}.", " VAR{a} = VAR{k}."},
                                          .question = " What is VAR{a}? VAR{a} = VAR{k} =",
                                          .items = 2};
