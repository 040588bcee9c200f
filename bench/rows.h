/* Rows of `cachet bench` as md, csv or JSON, one at a time as they are measured. */
#ifndef CACHET_BENCH_ROWS_H
#define CACHET_BENCH_ROWS_H

#include "bench/measure.h"

#include <jansson.h>

enum bench_format { BENCH_MD, BENCH_CSV, BENCH_JSON };
/* Errors: BASE_ERR_ARGUMENT naming the text. */
BASE_MUST_USE enum base_status bench_format_parse(const char *text, enum bench_format *ret, struct base_error *error);

/* The shape's name or the last part of the model's path, with what of it was run; "cheap" or "general". */
enum { BENCH_NAME = 160 };
void bench_model_name(const struct bench_case *bench, char ret[BENCH_NAME]);
const char *bench_gates_name(const struct bench_case *bench);

/* Peak memory of the largest party. */
double bench_row_memory(const struct bench_row *row);

/* A row as an object of the JSON output. */
json_t *bench_row_json(const struct bench_case *bench, const struct bench_row *row);

/* What stands before the first row and after the last one, on standard output. */
void bench_rows_begin(enum bench_format format);
/* object: what bench_row_json makes of the row. */
void bench_rows_add(enum bench_format format, const struct bench_case *bench, const struct bench_row *row,
                    const json_t *object, bool first);
void bench_rows_end(enum bench_format format);

#endif
