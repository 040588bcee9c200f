/* bench_attention_operators [--json] [--repeats N]: rounds, bytes and seconds of the operators of one decode
 * step of attention, and beside them those of SPU as measured. */
#include "bench/attention_operators.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char spu_source[] =
    "SPU 0.9.5 (PyPI wheel), ABY3, FM64, fxp_exp_mode 1, three processes on two "
    "cores over loopback, second run; bytes of all six directions at a TCP relay";
/* Its other exponential, 5 squarings: 2 x 0.92 + 33.2 MB, 2 x 0.15 + 0.38 s; 2 x 0.14 + 3.2 MB, 2 x 0.08 +
 * 0.16 s. */
static const char spu_other[] = "with the exponential by 5 squarings, attention 35.04 MB, 0.68 s; "
                                "attention-kept 3.48 MB, 0.32 s";

static double megabytes(uint64_t bytes)
{
    return (double)bytes / 1e6;
}

static void print_row(const struct bench_operator *what, const struct bench_measure *m)
{
    char peer[64] = "       -        -        -";
    double all = megabytes(m->wire_bytes);
    if (what->peer_megabytes > 0)
        (void)snprintf(peer, sizeof peer, "%8.2f %8.2f %8.1f", what->peer_megabytes, what->peer_seconds,
                       what->peer_megabytes / all);
    (void)printf("%-16s %6llu %8.3f %8.3f %8.3f %8.4f %8.4f %s  %s\n", what->name,
                 (unsigned long long)m->cost.rounds, megabytes(m->cost.online), megabytes(m->cost.offline),
                 all, m->beside, m->ahead, peer, what->what);
}

static void print_json(const struct bench_operator *what, const struct bench_measure *m, bool last)
{
    (void)printf("  {\"operator\": \"%s\", \"what\": \"%s\", \"rounds\": %llu, \"online_bytes\": %llu, "
                 "\"dealt_bytes\": %llu, \"wire_bytes\": %llu, "
                 "\"seconds\": %.6f, \"seconds_dealt_ahead\": %.6f",
                 what->name, what->what, (unsigned long long)m->cost.rounds,
                 (unsigned long long)m->cost.online, (unsigned long long)m->cost.offline,
                 (unsigned long long)m->wire_bytes, m->beside, m->ahead);
    if (what->peer_megabytes > 0)
        (void)printf(", \"spu_bytes\": %.0f, \"spu_seconds\": %.2f", what->peer_megabytes * 1e6,
                     what->peer_seconds);
    (void)printf("}%s\n", last ? "" : ",");
}

static enum base_status measure_all(const struct bench_attention_setting *s, bool json, size_t repeats,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    if (json)
        (void)printf("{\"bench\": \"attention operators\", \"heads\": %d, \"channels\": %d, \"rows\": %d, "
                     "\"spu_source\": \"%s\", \"spu_other\": \"%s\", \"results\": [\n",
                     BENCH_HEADS, BENCH_CHANNELS, BENCH_ROWS, spu_source, spu_other);
    else
        (void)printf(
            "%d heads of %d channels, %d cached rows, clusters of %d; MB: online between P1 and P2, "
            "dealt by P0, all with frame headers;\n"
            "seconds: threads over memory links, P0 dealing beside or all dealt ahead; SPU: MB, seconds, "
            "and its MB over all of ours\n"
            "%-16s %6s %8s %8s %8s %8s %8s %8s %8s %8s\n",
            BENCH_HEADS, BENCH_CHANNELS, BENCH_ROWS, BENCH_CLUSTER, "", "rounds", "online", "dealt", "all",
            "seconds", "ahead", "SPU MB", "SPU s", "ratio");
    for (size_t i = 0; i < bench_attention_operator_count; i++) {
        struct bench_operator what = bench_attention_operator(s, i);
        struct bench_measure measure;
        TRY(bench_operator_measure(&what, repeats, &measure, error));
        if (json)
            print_json(&what, &measure, i + 1 == bench_attention_operator_count);
        else
            print_row(&what, &measure);
    }
    if (json)
        (void)printf("]}\n");
    else
        (void)printf("SPU: %s; %s\n", spu_source, spu_other);
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
