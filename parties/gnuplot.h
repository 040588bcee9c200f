/* Pictures by gnuplot, an external program, from a script that holds the data and stays beside them. */
#ifndef CACHET_PARTIES_GNUPLOT_H
#define CACHET_PARTIES_GNUPLOT_H

#include "base/status.h"

#include <stddef.h>
#include <stdio.h>

struct gnuplot_script {
    FILE *text; /* the script is written here */
    char *buffer, picture[4096];
    size_t size;
};

/* Before work starts: that `path` ends in .svg or .png and is printable text; `flag` names it in the error. Errors: BASE_ERR_ARGUMENT. */
BASE_MUST_USE enum base_status gnuplot_check_path(const char *flag, const char *path, struct base_error *error);
/* A script that draws `path`. Errors: BASE_ERR_ARGUMENT, BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status gnuplot_begin(struct gnuplot_script *ret, const char *path, struct base_error *error);
/* Writes the script beside the picture (.gp instead of .svg or .png) and runs gnuplot on it. Errors: BASE_ERR_IO; BASE_ERR_SUPPORT when
 * gnuplot is missing or fails, with what to do. */
BASE_MUST_USE enum base_status gnuplot_draw(struct gnuplot_script *script, struct base_error *error);
/* Accepts a zeroed script. */
void gnuplot_discard(struct gnuplot_script *script);

/* Parts of scripts: terminal and output; text in single quotes; colour and mark of curve i, the first one black. */
void gnuplot_head(FILE *script, const char *path, size_t width, size_t height);
void gnuplot_quote(FILE *script, const char *text);
void gnuplot_curve_style(FILE *script, size_t curve);
const char *gnuplot_colour(size_t curve);

#endif
