#include "bench/plots.h"

#include "engine/share_files.h"
#include "parties/gnuplot.h"

#include <string.h>

enum { WIDTH = 900, HEIGHT = 520, BAR = 26, MARGIN = 170, LABEL = 512 };

void bench_point_init(struct bench_point *ret, const struct bench_case *b, const struct bench_row *row)
{
    struct base_error ignored = {0};
    struct relay_link link;
    *ret = (struct bench_point){.context = (double)b->subject->context, .tokens = (double)b->subject->new_tokens, .row = *row};
    bench_model_name(b, ret->model);
    kv_config_print(b->policy, &b->config, ret->policy);
    (void)snprintf(ret->gates, sizeof ret->gates, "%s", bench_gates_name(b));
    (void)snprintf(ret->link, sizeof ret->link, "%s", b->link);
    /* A link that was measured is one. */
    if (bench_is_relayed(b->link) && relay_link_parse(b->link, &link, &ignored) == BASE_OK)
        ret->rtt_ms = link.delay_ms[0] + link.delay_ms[1];
}

/* --- what a picture shows ------------------------------------------------------------------------------ */

struct bench_picture {
    const char *name, *title, *x_label, *y_label;
    bool logarithmic; /* both axes; x then needs values above zero */
    double (*x)(const struct bench_point *p);
    double (*y)(const struct bench_point *p);
    double (*predicted)(const struct bench_point *p); /* NULL: none */
    bool by_link;  /* x is the link: points of one curve differ in it; else in the context */
    bool any_link; /* y is the same over every link */
};

static double context_of(const struct bench_point *p)
{
    return p->context;
}

static double rtt_of(const struct bench_point *p)
{
    /* Loopback itself takes about as long as this. */
    return p->rtt_ms > 0 ? p->rtt_ms : 0.1;
}

static double seconds_of(const struct bench_point *p)
{
    return p->row.token_seconds.median;
}

static double predicted_of(const struct bench_point *p)
{
    return p->row.predicted_token;
}

static double memory_of_largest(const struct bench_point *p)
{
    return bench_row_memory(&p->row) * 1e-9;
}

static const struct bench_picture pictures[] = {
    {"rtt", "Time per token against the round trip of the links", "round trip, ms (log)", "seconds per token (log)", true,
     rtt_of, seconds_of, predicted_of, true, false},
    {"context", "Time per token against tokens in the cache", "tokens in the cache (log)", "seconds per token (log)", true,
     context_of, seconds_of, predicted_of, false, false},
    {"memory", "Peak memory of the largest party", "tokens in the cache", "GB", false, context_of, memory_of_largest, NULL,
     false, true},
};

/* --- curves -------------------------------------------------------------------------------------------- */

static bool same_curve(const struct bench_picture *picture, const struct bench_point *a, const struct bench_point *b)
{
    return strcmp(a->model, b->model) == 0 && strcmp(a->policy, b->policy) == 0 && strcmp(a->gates, b->gates) == 0 &&
           (picture->by_link ? a->context == b->context : picture->any_link || strcmp(a->link, b->link) == 0);
}

/* The first point of curve `index`; NULL: there are fewer. */
static const struct bench_point *curve_at(const struct bench_picture *picture, const struct bench_point *points, size_t count,
                                          size_t index)
{
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        for (size_t j = 0; j < i; j++)
            known = known || same_curve(picture, &points[j], &points[i]);
        if (!known && index-- == 0)
            return &points[i];
    }
    return NULL;
}

/* Names of what differs among all points. */
static void label_of(const struct bench_point *p, const struct bench_point *points, size_t count, bool link, bool context,
                     char ret[LABEL])
{
    bool differs[5] = {false};
    char number[24];
    for (size_t i = 0; i < count; i++) {
        differs[0] = differs[0] || strcmp(points[i].model, p->model) != 0;
        differs[1] = differs[1] || (context && points[i].context != p->context);
        differs[2] = differs[2] || strcmp(points[i].policy, p->policy) != 0;
        differs[3] = differs[3] || strcmp(points[i].gates, p->gates) != 0;
        differs[4] = differs[4] || (link && strcmp(points[i].link, p->link) != 0);
    }
    (void)snprintf(number, sizeof number, "T = %.0f", p->context);
    const char *const parts[] = {p->model, number, p->policy, p->gates, p->link};
    size_t at = 0;
    ret[0] = '\0';
    for (int i = 0; i < 5 && at < LABEL; i++)
        if (differs[i])
            at += (size_t)snprintf(ret + at, LABEL - at, "%s%s", at == 0 ? "" : ", ", parts[i]);
    if (ret[0] == '\0')
        (void)snprintf(ret, LABEL, "%s", p->model);
}

/* The points of one curve, x, y and prediction, by x. */
static void write_curve(FILE *script, const struct bench_picture *picture, const struct bench_point *points, size_t count,
                        const struct bench_point *curve)
{
    for (const struct bench_point *last = NULL;;) {
        const struct bench_point *next = NULL;
        for (size_t i = 0; i < count; i++)
            if (same_curve(picture, &points[i], curve) && (last == NULL || picture->x(&points[i]) > picture->x(last)) &&
                (next == NULL || picture->x(&points[i]) < picture->x(next)))
                next = &points[i];
        if (next == NULL)
            return;
        (void)fprintf(script, "%.6g %.6g %.6g\n", picture->x(next), picture->y(next),
                      picture->predicted == NULL ? 0 : picture->predicted(next));
        last = next;
    }
}

static void write_lines(FILE *script, const struct bench_picture *picture, const struct bench_point *points, size_t count)
{
    size_t curves = 0;
    for (; curve_at(picture, points, count, curves) != NULL; curves++) {
        (void)fprintf(script, "$c%zu << END\n", curves);
        write_curve(script, picture, points, count, curve_at(picture, points, count, curves));
        (void)fprintf(script, "END\n");
    }
    (void)fprintf(script, "set title ");
    gnuplot_quote(script, picture->title);
    (void)fprintf(script, "\nset xlabel '%s'\nset ylabel '%s'\nset grid lc rgb '#dddddd'\nset tics nomirror\nset border 3\n",
                  picture->x_label, picture->y_label);
    (void)fprintf(script, picture->logarithmic ? "set logscale xy\n" : "set yrange [0:*]\n");
    (void)fprintf(script, "set key outside right top Left reverse\nplot ");
    for (size_t c = 0; c < curves; c++) {
        char label[LABEL];
        const struct bench_point *curve = curve_at(picture, points, count, c);
        label_of(curve, points, count, !picture->by_link && !picture->any_link, picture->by_link, label);
        (void)fprintf(script, "%s$c%zu using 1:2 with linespoints ", c == 0 ? "" : ", \\\n     ", c);
        gnuplot_curve_style(script, c);
        (void)fprintf(script, " title ");
        gnuplot_quote(script, label);
        if (picture->predicted != NULL)
            (void)fprintf(script, ", $c%zu using 1:3 with lines lc rgb '#%s' dt 3 lw 1.2 %s", c, gnuplot_colour(c),
                          c == 0 ? "title 'predicted'" : "notitle");
    }
    (void)fputc('\n', script);
}

/* Some curve has two points or more. */
static bool is_worth_drawing(const struct bench_picture *picture, const struct bench_point *points, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (same_curve(picture, &points[i], &points[j]) && picture->x(&points[i]) != picture->x(&points[j]))
                return true;
    return false;
}

/* --- bars ---------------------------------------------------------------------------------------------- */

/* The same work over another link costs the same. */
static bool is_repeated(const struct bench_point *points, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (strcmp(points[j].model, points[i].model) == 0 && strcmp(points[j].policy, points[i].policy) == 0 &&
            strcmp(points[j].gates, points[i].gates) == 0 && points[j].context == points[i].context)
            return true;
    return false;
}

static void write_bar_data(FILE *script, const struct bench_point *points, size_t count)
{
    (void)fprintf(script, "# row, then per class: MB online and dealt; then per class: rounds\n$bars << END\n");
    for (size_t i = 0; i < count; i++) {
        char label[LABEL];
        if (is_repeated(points, i))
            continue;
        label_of(&points[i], points, count, false, true, label);
        (void)fprintf(script, "\"%s\"", label);
        for (int c = 0; c < ENG_CLASSES; c++) {
            const struct mpc_cost *cost = &points[i].row.declared.by_class[c];
            (void)fprintf(script, " %.6g", (double)(cost->online + cost->offline) / points[i].tokens * 1e-6);
        }
        for (int c = 0; c < ENG_CLASSES; c++)
            (void)fprintf(script, " %.6g", (double)points[i].row.declared.by_class[c].rounds / points[i].tokens);
        (void)fputc('\n', script);
    }
    (void)fprintf(script, "END\n");
}

static void write_bars(FILE *script, const struct bench_point *points, size_t count)
{
    write_bar_data(script, points, count);
    (void)fprintf(script, "set multiplot layout 1, 2 title 'One token by class of operation'\nset style data histograms\n"
                          "set style histogram rowstacked\nset style fill solid 0.9 border lc rgb '#ffffff'\nset boxwidth 0.7\n"
                          "set grid ytics lc rgb '#dddddd'\nset tics nomirror\nset border 3\nset yrange [0:*]\n"
                          "set xtics rotate by 35 right noenhanced\nset bmargin 10\nset lmargin 9\n");
    for (int panel = 0; panel < 2; panel++) {
        (void)fprintf(script, "set ylabel '%s'\n%s\nplot ", panel == 0 ? "MB, online and dealt" : "rounds",
                      panel == 0 ? "unset key" : "set key outside right top Left reverse");
        for (int c = 0; c < ENG_CLASSES; c++)
            (void)fprintf(script, "%s$bars using %d%s lc rgb '#%s' title '%s'", c == 0 ? "" : ", \\\n     ",
                          2 + c + panel * ENG_CLASSES, c == 0 ? ":xtic(1)" : "", gnuplot_colour((size_t)c + 1),
                          eng_class_name((enum eng_class)c));
        (void)fputc('\n', script);
    }
    (void)fprintf(script, "unset multiplot\n");
}

/* --- all ----------------------------------------------------------------------------------------------- */

/* picture: NULL: the bars. Once as SVG, once as PNG. */
static enum base_status draw(const struct bench_picture *picture, const struct bench_point *points, size_t count,
                             const char *directory, struct base_error *error)
{
    static const char *const endings[] = {"png", "svg"};
    enum base_status status = BASE_OK;
    struct gnuplot_script script = {0};
    char path[ENG_PATH_MAX];
    size_t width = picture != NULL || count * 2 * BAR + MARGIN < WIDTH ? WIDTH : count * 2 * BAR + MARGIN;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        TRY(eng_path_print(path, error, "%s/%s.%s", directory, picture == NULL ? "operations" : picture->name, endings[i]));
        TRY(gnuplot_begin(&script, path, error));
        gnuplot_head(script.text, path, width, HEIGHT);
        if (picture == NULL)
            write_bars(script.text, points, count);
        else
            write_lines(script.text, picture, points, count);
        TRY(gnuplot_draw(&script, error));
        gnuplot_discard(&script);
    }
out:
    gnuplot_discard(&script);
    return status;
}

enum base_status bench_plots_draw(const struct bench_point *points, size_t count, const char *directory,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(draw(NULL, points, count, directory, error));
    for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++)
        if (is_worth_drawing(&pictures[i], points, count))
            TRY(draw(&pictures[i], points, count, directory, error));
out:
    return status;
}
