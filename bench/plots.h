/* Rows of `cachet bench` as pictures, SVG and PNG, each with the script that holds its data: what fits the lists that were measured.
 *   operations  bytes and rounds of a token by class of operation, one bar per row
 *   rtt         seconds per token against the round trip of links, with the prediction
 *   context     seconds per token against tokens in the cache, with the prediction
 *   memory      peak memory of the largest party against tokens in the cache */
#ifndef CACHET_BENCH_PLOTS_H
#define CACHET_BENCH_PLOTS_H

#include "bench/rows.h"

/* A measured row under its names. */
struct bench_point {
    char model[BENCH_NAME], policy[KV_CONFIG_TEXT], gates[16], link[64];
    double context, rtt_ms;
    double tokens; /* that row.declared counts */
    struct bench_row row;
};
void bench_point_init(struct bench_point *ret, const struct bench_case *bench, const struct bench_row *row);

/* Writes into the directory, which exists. Errors: those of gnuplot.h. */
BASE_MUST_USE enum base_status bench_plots_draw(const struct bench_point *points, size_t count, const char *directory,
                                                struct base_error *error);

#endif
