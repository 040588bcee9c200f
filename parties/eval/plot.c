#include "parties/eval/plot.h"

#include "parties/gnuplot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    PANEL_WIDTH = 440,
    PANEL_HEIGHT = 320,
    TITLE_HEIGHT = 40,
    LETTER = 8,
    SAMPLE = 90,
    LINE = 28
};

/* One row of every kind: those of its panel share task and context, those of its curve the policy. */
struct picture {
    const struct eval_results *results;
    FILE *script;
    size_t panels, curves, longest;
};

static bool same_panel(const struct eval_row *a, const struct eval_row *b)
{
    return a->task == b->task && a->context == b->context;
}

static bool same_curve(const struct eval_row *a, const struct eval_row *b)
{
    return strcmp(a->policy, b->policy) == 0;
}

/* The row that begins panel or curve `index`; NULL: there are fewer. */
static const struct eval_row *first_of(const struct eval_results *r, size_t index,
                                       bool (*same)(const struct eval_row *, const struct eval_row *))
{
    for (size_t i = 0; i < r->count; i++) {
        bool known = false;
        for (size_t j = 0; j < i; j++)
            known = known || same(&r->rows[j], &r->rows[i]);
        if (!known && index-- == 0)
            return &r->rows[i];
    }
    return NULL;
}

static bool has_points(const struct picture *p, const struct eval_row *panel, const struct eval_row *curve)
{
    bool any = false;
    for (size_t i = 0; i < p->results->count; i++)
        any = any || (same_panel(&p->results->rows[i], panel) && same_curve(&p->results->rows[i], curve));
    return any;
}

/* Cheapest first, equals in the order of the file. */
static bool before(const struct eval_row *a, const struct eval_row *b)
{
    return a->bytes < b->bytes || (a->bytes == b->bytes && a < b);
}

/* The points of one curve in one panel. */
static void write_points(const struct picture *p, const struct eval_row *panel, const struct eval_row *curve)
{
    for (const struct eval_row *last = NULL;;) {
        const struct eval_row *next = NULL;
        for (size_t i = 0; i < p->results->count; i++) {
            const struct eval_row *row = &p->results->rows[i];
            if (same_panel(row, panel) && same_curve(row, curve) && (last == NULL || before(last, row)) &&
                (next == NULL || before(row, next)))
                next = row;
        }
        if (next == NULL)
            return;
        struct eval_share share = eval_row_quality(next);
        (void)fprintf(p->script, "%.6g %.4f %.4f %.4f # budget %u %%\n", next->bytes * 1e-3, share.percent,
                      share.low, share.high, next->budget);
        last = next;
    }
}

/* Lines and marks of a curve. */
static void write_style(const struct picture *p, size_t curve)
{
    gnuplot_curve_style(p->script, curve);
}

/* The range of a panel's bytes, a little wider on both sides, and marks that a narrow logarithmic axis has
 * none of by itself. */
static void write_range(const struct picture *p, const struct eval_row *panel)
{
    static const struct {
        double ratio; /* high to low at most */
        double step[16];
    } marks_of[] = {{2, {1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9}},
                    {8, {1, 1.5, 2, 3, 4, 6, 8}},
                    {100, {1, 2, 5}},
                    {INFINITY, {1}}};
    size_t kind = 0, shown = 0;
    double low = panel->bytes, high = panel->bytes;
    for (size_t i = 0; i < p->results->count; i++) {
        const struct eval_row *row = &p->results->rows[i];
        if (!same_panel(row, panel))
            continue;
        low = row->bytes < low ? row->bytes : low;
        high = row->bytes > high ? row->bytes : high;
    }
    low *= 0.93e-3;
    high *= 1.07e-3;
    while (high > marks_of[kind].ratio * low)
        kind++;
    (void)fprintf(p->script, "set xrange [%.6g:%.6g]\nset xtics (", low, high);
    for (double decade = 1e-3; decade <= high; decade *= 10)
        for (const double *step = marks_of[kind].step; *step > 0; step++)
            if (decade * *step >= low && decade * *step <= high)
                (void)fprintf(p->script, "%s%.6g", shown++ == 0 ? "" : ", ", decade * *step);
    (void)fprintf(p->script, ")\n");
}

/* Answers from none to all; next tokens, which agree for the most part, from below the worst. */
static void write_percents(const struct picture *p, const struct eval_row *panel)
{
    double least = 100;
    for (size_t i = 0; i < p->results->count; i++)
        if (same_panel(&p->results->rows[i], panel))
            least = fmin(least, eval_row_quality(&p->results->rows[i]).low);
    if (panel->task->items == 0)
        (void)fprintf(p->script, "set yrange [%g:101]\n", 10 * floor(least / 10));
    else
        (void)fprintf(p->script, "set yrange [-4:104]\n");
}

/* Bars first, thin and faint, so that curves that cross them stay legible. */
static void write_curves(const struct picture *p, size_t index, const struct eval_row *panel)
{
    const struct eval_row *full = NULL;
    for (size_t i = 0; i < p->results->count; i++)
        if (same_panel(&p->results->rows[i], panel) &&
            strcmp(p->results->rows[i].policy, kv_policy_full.name) == 0)
            full = &p->results->rows[i];
    (void)fprintf(p->script, "plot %.4f with lines lc rgb '#aaaaaa' dt 2 notitle",
                  full == NULL ? -100 : eval_row_quality(full).percent);
    for (int marked = 0; marked < 2; marked++)
        for (size_t c = 0; c < p->curves; c++) {
            if (!has_points(p, panel, first_of(p->results, c, same_curve)))
                continue;
            (void)fprintf(p->script, ", \\\n     $p%zu_%zu using %s ", index, c,
                          marked ? "1:2 with linespoints" : "1:2:3:4 with yerrorbars pt 0");
            if (marked)
                write_style(p, c);
            else
                (void)fprintf(p->script, "lc rgb '#70%s' lw 1", gnuplot_colour(c));
            (void)fprintf(p->script, " notitle");
        }
    (void)fprintf(p->script, "\n");
}

static void write_panel(const struct picture *p, size_t index, double x, double y, double width,
                        double height)
{
    const struct eval_row *panel = first_of(p->results, index, same_panel);
    (void)fprintf(p->script, "\n# %s, %zu tokens: kB per token, percent, its 95 %% interval\n",
                  panel->task->name, panel->context);
    for (size_t c = 0; c < p->curves; c++) {
        (void)fprintf(p->script, "$p%zu_%zu << END\n", index, c);
        write_points(p, panel, first_of(p->results, c, same_curve));
        (void)fprintf(p->script, "END\n");
    }
    (void)fprintf(p->script, "set origin %.4f, %.4f\nset size %.4f, %.4f\n", x, y, width, height);
    (void)fprintf(p->script, "set title '%s, %zu tokens, %zu prompts'\nset ylabel '%s'\n", panel->task->name,
                  panel->context, panel->score.prompts,
                  panel->task->items == 0 ? "next tokens as the full cache, %" : "right answers, %");
    write_range(p, panel);
    write_percents(p, panel);
    write_curves(p, index, panel);
}

/* A panel without axes: gnuplot's keys cannot stand between panels. */
static void write_legend(const struct picture *p, double x, double width)
{
    (void)fprintf(
        p->script,
        "\nset origin %.4f, 0\nset size %.4f, 1\nunset title\nunset xlabel\nunset ylabel\nunset tics\n"
        "unset border\nunset grid\nunset logscale\nset lmargin 0\nset rmargin 0\nset bmargin 0\n"
        "set xrange [0:1]\nset yrange [0:1]\nset key at graph 0, 0.95 left top Left reverse samplen 3 "
        "vertical maxrows %zu spacing 1.4\nplot ",
        x, width, p->curves);
    for (size_t c = 0; c < p->curves; c++) {
        (void)fprintf(p->script, "%s2 with linespoints ", c == 0 ? "" : ", \\\n     ");
        write_style(p, c);
        (void)fprintf(p->script, " title '%s'", first_of(p->results, c, same_curve)->policy);
    }
    (void)fprintf(p->script, "\n");
}

static void write_head(const struct picture *p, const char *path, size_t width, size_t height)
{
    (void)fprintf(p->script, "# Quality of cache policies against bytes of a token. Run gnuplot on this file.\n");
    gnuplot_head(p->script, path, width, height);
    (void)fprintf(
        p->script,
        "set multiplot title 'Quality against bytes of a token, bars: 95 %% intervals'\nset logscale x\n"
        "set xlabel 'kB per token, online and dealt (log)'\nset grid xtics ytics lt 1 "
        "lc rgb '#dddddd' lw 1\n"
        "set tics nomirror\nset border 3\nset bars 0.6\nunset key\n");
}

/* Contexts below each other where there are several tasks. */
static size_t columns_of(const struct picture *p)
{
    size_t tasks = 0;
    for (size_t i = 0; i < p->panels; i++)
        tasks += first_of(p->results, i, same_panel)->context == first_of(p->results, 0, same_panel)->context;
    if (tasks > 1 && tasks <= 4)
        return tasks;
    return p->panels < 3 ? p->panels : p->panels == 4 ? 2 : 3;
}

static void write_script(const struct picture *p, const char *path)
{
    size_t columns = columns_of(p), lines = (p->panels + columns - 1) / columns,
           legend = SAMPLE + LETTER * p->longest, width = columns * PANEL_WIDTH + legend,
           panel = lines * PANEL_HEIGHT > p->curves * LINE ? PANEL_HEIGHT : p->curves * LINE / lines,
           height = lines * panel + TITLE_HEIGHT;
    double w = PANEL_WIDTH / (double)width, h = (double)panel / (double)height;
    write_head(p, path, width, height);
    for (size_t i = 0; i < p->panels; i++)
        write_panel(p, i, (double)(i % columns) * w, (double)(lines - 1 - i / columns) * h, w, h);
    write_legend(p, (double)columns * w + 0.01, 0.99 - (double)columns * w);
    (void)fprintf(p->script, "unset multiplot\n");
}

enum base_status eval_plot_check(const char *path, struct base_error *error)
{
    return gnuplot_check_path("--plot", path, error);
}

enum base_status eval_plot(const struct eval_results *results, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct gnuplot_script script = {0};
    struct picture p = {.results = results};
    const struct eval_row *row;
    TRY(eval_plot_check(path, error));
    while (first_of(results, p.panels, same_panel) != NULL)
        p.panels++;
    for (; (row = first_of(results, p.curves, same_curve)) != NULL; p.curves++)
        p.longest = strlen(row->policy) > p.longest ? strlen(row->policy) : p.longest;
    TRY(gnuplot_begin(&script, path, error));
    p.script = script.text;
    write_script(&p, path);
    TRY(gnuplot_draw(&script, error));
out:
    gnuplot_discard(&script);
    return status;
}
