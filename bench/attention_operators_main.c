/* bench_attention_operators [--json] [--repeats N]: rounds, bytes and seconds of the operators of one decode
 * step of attention. Those of SPU: bench/peers/run mpcache. */
#include "bench/attention_operators.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double megabytes(uint64_t bytes)
{
    return (double)bytes / 1e6;
}

/* Of one decode step. */
struct step {
    double rounds, online, dealt, all, beside, ahead; /* MB, seconds */
};

static struct step step_of(const struct bench_operator *what, const struct bench_measure *m)
{
    double steps = what->steps == 0 ? 1 : (double)what->steps;
    return (struct step){.rounds = (double)m->cost.rounds / steps,
                         .online = megabytes(m->cost.online) / steps,
                         .dealt = megabytes(m->cost.offline) / steps,
                         .all = megabytes(m->wire_bytes) / steps,
                         .beside = m->beside / steps,
                         .ahead = m->ahead / steps};
}

/* full: MB of attention to every row. */
static void print_row(const struct bench_operator *what, struct step s, double full)
{
    char part[16] = "-";
    if (what->whole)
        (void)snprintf(part, sizeof part, "%.2f", s.all / full);
    (void)printf("%-16s %6.5g %8.3f %8.3f %8.3f %8.4f %8.4f %8s  %s\n", what->name, s.rounds, s.online,
                 s.dealt, s.all, s.beside, s.ahead, part, what->what);
}

static void print_json(const struct bench_operator *what, struct step s, double full, bool last)
{
    (void)printf("  {\"operator\": \"%s\", \"what\": \"%s\", \"rounds\": %.6g, \"online_bytes\": %.0f, "
                 "\"dealt_bytes\": %.0f, \"wire_bytes\": %.0f, "
                 "\"seconds\": %.6f, \"seconds_dealt_ahead\": %.6f",
                 what->name, what->what, s.rounds, s.online * 1e6, s.dealt * 1e6, s.all * 1e6, s.beside,
                 s.ahead);
    if (what->whole)
        (void)printf(", \"of_full\": %.4f", s.all / full);
    (void)printf("}%s\n", last ? "" : ",");
}

static enum base_status measure_all(const struct bench_attention_setting *s, bool json, size_t repeats,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    const size_t count = bench_attention_operator_count();
    double full = 0;
    if (json)
        (void)printf("{\"bench\": \"attention operators\", \"heads\": %d, \"channels\": %d, \"rows\": %d, "
                     "\"results\": [\n",
                     BENCH_HEADS, BENCH_CHANNELS, BENCH_ROWS);
    else
        (void)printf("%d heads of %d channels, %d cached rows, clusters of %d; MB: online between P1 and P2, "
                     "dealt by P0, all with frame headers;\n"
                     "seconds: threads over memory links, P0 dealing beside or all dealt ahead; of full: "
                     "all, of that of "
                     "attention to every row;\n"
                     "%-16s %6s %8s %8s %8s %8s %8s %8s\n",
                     BENCH_HEADS, BENCH_CHANNELS, BENCH_ROWS, BENCH_CLUSTER, "", "rounds", "online", "dealt",
                     "all", "seconds", "ahead", "of full");
    for (size_t i = 0; i < count; i++) {
        struct bench_operator what = bench_attention_operator(s, i);
        struct bench_measure measure;
        TRY(bench_operator_measure(&what, repeats, &measure, error));
        struct step step = step_of(&what, &measure);
        full = i == 0 ? step.all : full;
        if (json)
            print_json(&what, step, full, i + 1 == count);
        else
            print_row(&what, step, full);
    }
    if (json)
        (void)printf("]}\n");
out:
    return status;
}

int main(int argc, char **argv)
{
    struct base_error error = {0};
    struct bench_attention_setting setting = {0};
    enum base_status status = BASE_OK;
    bool json = false, well = true;
    size_t repeats = 5;
    for (int i = 1; i < argc; i++) {
        char *end = "";
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "--repeats") == 0 && i + 1 < argc)
            repeats = strtoul(argv[++i], &end, 10);
        else
            well = false;
        well = well && *end == '\0';
    }
    if (!well) {
        (void)fprintf(stderr, "usage: bench_attention_operators [--json] [--repeats N]\n");
        return 2;
    }
    TRY(bench_attention_init(&setting, &error));
    TRY(measure_all(&setting, json, repeats, &error));
out:
    if (status != BASE_OK)
        (void)fprintf(stderr, "bench_attention_operators: %s\n", error.text);
    bench_attention_finish(&setting);
    return base_status_exit_code(status);
}
