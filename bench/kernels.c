#include "bench/kernels.h"
#include "bench/kernel_cases.h"

#include <string.h>
#include <time.h>

enum { MAX_RESULTS = 128, REPEATS = 5 };

struct result {
    const struct bench_case *what;
    const char *level;
    double rate;   /* units per second */
    double cycles; /* core cycles per unit, 0 where the clock is unknown */
    double ratio;  /* of rates; 1 for a reference */
};

struct results {
    struct result items[MAX_RESULTS];
    size_t count;
    double clock; /* core cycles per second in this run */
};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The core clock from a chain of 64-bit multiplications, three cycles each on every x86-64 since 2008. */
static double measure_clock(void)
{
    double best = 0;
#if defined(__x86_64__)
    for (int i = 0; i < 40; i++) {
        uint64_t x = 3, turns = 50000;
        double start = seconds();
        __asm__ volatile("1: imul %0, %0\n\timul %0, %0\n\timul %0, %0\n\timul %0, %0\n\tdec %1\n\tjnz 1b"
                         : "+r"(x), "+r"(turns));
        double rate = 12 * 50000 / (seconds() - start);
        best = rate > best ? rate : best;
    }
#endif
    return best;
}

/* Best time of one run over repeats of at least 20 ms: neighbours only ever add time. */
static double best_time(const struct bench_case *what, struct bench_memory *memory, const struct kern_table *table)
{
    double best = 1e30;
    size_t calls = 1;
    for (int i = 0; i < REPEATS;) {
        double start = seconds();
        for (size_t j = 0; j < calls; j++)
            what->run(memory, table);
        double spent = seconds() - start;
        if (spent / (double)calls < best)
            best = spent / (double)calls;
        if (spent >= 0.02)
            i++;
        else
            calls *= spent < 0.002 ? 12 : 2;
    }
    return best;
}

static double rate_of(const struct results *results, const char *name, const char *level)
{
    for (size_t i = 0; i < results->count; i++) {
        const struct result *r = &results->items[i];
        if (strcmp(r->what->name, name) == 0 && (level == NULL || strcmp(r->level, level) == 0))
            return r->rate;
    }
    return 0;
}

static void measure(struct results *results, const struct bench_case *what, const char *level,
                    struct bench_memory *memory, const struct kern_table *table)
{
    if (results->count == MAX_RESULTS)
        return;
    struct result r = {.what = what, .level = level, .rate = what->units / best_time(what, memory, table)};
    r.cycles = results->clock / r.rate;
    results->items[results->count++] = r;
    const char *against = what->against == NULL ? what->name : what->against;
    double base = rate_of(results, against, what->against == NULL && table != NULL ? "scalar" : NULL);
    results->items[results->count - 1].ratio = base > 0 ? r.rate / base : 1;
}

static void run_cases(struct results *results, struct bench_memory *memory, const char *prefix)
{
    size_t count, references;
    const struct bench_case *cases = bench_kernel_cases(&count, &references);
    for (size_t i = 0; i < count; i++) {
        if (i < references) {
            measure(results, &cases[i], "reference", memory, NULL);
            continue;
        }
        if (prefix != NULL && strncmp(cases[i].name, prefix, strlen(prefix)) != 0)
            continue;
        if (cases[i].prepare != NULL)
            cases[i].prepare(memory, kern_table_select(~0u));
        for (unsigned level = 0; level < KERN_LEVEL_COUNT; level++) {
            const struct kern_table *table = kern_table_select(1u << level);
            if (table->level == level)
                measure(results, &cases[i], kern_level_name(table->level), memory, table);
        }
    }
}

static void print_table(FILE *out, const struct results *results)
{
    fprintf(out, "core clock %.2f GHz; ratio: to the case named, else to scalar\n", results->clock * 1e-9);
    fprintf(out, "%-24s %-10s %12s %-8s %12s  %8s %s\n", "slot", "level", "per second", "unit", "cycles/unit", "ratio", "to");
    for (size_t i = 0; i < results->count; i++) {
        const struct result *r = &results->items[i];
        fprintf(out, "%-24s %-10s %12.4g %-8s %12.3f  %8.2f %s\n", r->what->name, r->level, r->rate, r->what->unit,
                r->cycles, r->ratio, r->what->against == NULL ? "" : r->what->against);
    }
}

static void print_json(FILE *out, const struct results *results)
{
    fprintf(out, "{\"bench\": \"kernels\", \"clock_hz\": %.6g, \"results\": [", results->clock);
    for (size_t i = 0; i < results->count; i++) {
        const struct result *r = &results->items[i];
        fprintf(out, "%s\n  {\"slot\": \"%s\", \"level\": \"%s\", \"unit\": \"%s\", \"per_second\": %.6g, "
                     "\"cycles_per_unit\": %.5g, \"ratio\": %.4g, \"ratio_to\": \"%s\"}",
                i == 0 ? "" : ",", r->what->name, r->level, r->what->unit, r->rate, r->cycles, r->ratio,
                r->what->against == NULL ? "scalar" : r->what->against);
    }
    fprintf(out, "\n]}\n");
}

enum base_status bench_kernels(FILE *out, int json, const char *prefix, struct base_error *error)
{
    struct bench_memory memory = {0};
    struct results results = {.clock = measure_clock()};
    enum base_status status;
    TRY(bench_memory_init(&memory, error));
    run_cases(&results, &memory, prefix);
    if (json)
        print_json(out, &results);
    else
        print_table(out, &results);
out:
    bench_memory_finish(&memory);
    return status;
}
