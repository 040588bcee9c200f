/* Results as a picture: quality against bytes of a token, one curve per policy (its points are budgets), one
 * panel per task and context. Drawn by gnuplot, an external program, from a script that holds the data and
 * stays. */
#ifndef CACHET_PARTIES_EVAL_PLOT_H
#define CACHET_PARTIES_EVAL_PLOT_H

#include "parties/eval/results.h"

/* Before work starts: that `path` ends in .svg or .png and is printable text. Errors: BASE_ERR_ARGUMENT. */
BASE_MUST_USE enum base_status eval_plot_check(const char *path, struct base_error *error);
/* Writes the script beside the picture (.gp instead of .svg or .png) and runs gnuplot on it. Errors:
 * BASE_ERR_IO; BASE_ERR_SUPPORT when gnuplot is missing or fails, with what to do. */
BASE_MUST_USE enum base_status eval_plot(const struct eval_results *results, const char *path,
                                         struct base_error *error);

#endif
