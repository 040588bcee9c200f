#include "bench/kernels.h"

#include "base/clock.h"
#include "bench/kernel_cases.h"
#include "bench/rows.h"
#include "kernels/device.h"
#include "kernels/threads.h"
#include "parties/options.h"
#include "parties/version.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { MAX_RESULTS = 512, REPEATS = 7 };

struct result {
    const struct bench_kernel_case *what;
    const char *level; /* "any": of no table */
    int threads;
    double rate;   /* units per second */
    double cycles; /* core cycles per unit and thread, 0 where the clock is unknown */
    double bound;  /* rate of what limits it, in this case's unit; 0: nothing does */
    double scalar; /* rate of the scalar level; 0: not measured */
};

struct results {
    struct result items[MAX_RESULTS];
    size_t count;
    double clock; /* core cycles per second in this run */
};

struct bench {
    const char *slot, *output, *device_name;
    struct kern_device *device;
    uint64_t threads;
    struct results results;
    struct bench_memory memory;
};

/* The core clock from a chain of 64-bit multiplications, three cycles each on every x86-64 since 2008. */
static double measure_clock(void)
{
    double best = 0;
#if defined(__x86_64__)
    for (int i = 0; i < 40; i++) {
        uint64_t x = 3, turns = 50000;
        double start = base_clock_seconds();
        __asm__ volatile("1: imul %0, %0\n\timul %0, %0\n\timul %0, %0\n\timul %0, %0\n\tdec %1\n\tjnz 1b"
                         : "+r"(x), "+r"(turns));
        double rate = 12 * 50000 / (base_clock_seconds() - start);
        best = rate > best ? rate : best;
    }
#endif
    return best;
}

/* Best time of one run over repeats of at least 20 ms: neighbours only ever add time. */
static double best_time(const struct bench_kernel_case *what, struct bench_memory *memory, const struct kern_table *table)
{
    double best = 1e30;
    size_t calls = 1;
    for (int i = 0; i < REPEATS;) {
        double start = base_clock_seconds();
        for (size_t j = 0; j < calls; j++)
            what->run(memory, table);
        double spent = base_clock_seconds() - start;
        if (spent / (double)calls < best)
            best = spent / (double)calls;
        if (spent >= 0.02)
            i++;
        else
            calls *= spent < 0.002 ? 12 : 2;
    }
    return best;
}

/* NULL: not measured. A bound of no table holds at every level. */
static const struct result *find(const struct results *results, const char *name, const char *level, int threads)
{
    for (size_t i = 0; i < results->count; i++) {
        const struct result *r = &results->items[i];
        if (strcmp(r->what->name, name) == 0 && r->threads == threads && (r->what->once || strcmp(r->level, level) == 0))
            return r;
    }
    return NULL;
}

/* AES makes 16 bytes of a keystream from a block. */
static double in_unit(const struct result *bound, const char *unit)
{
    bool blocks = strcmp(unit, "block") == 0 && strcmp(bound->what->unit, "byte") == 0;
    return bound->rate / (blocks ? 16 : 1);
}

static void measure(struct bench *b, const struct bench_kernel_case *what, const struct kern_table *table, int threads)
{
    struct results *results = &b->results;
    if (results->count == MAX_RESULTS)
        return;
    kern_set_threads(threads);
    struct result r = {.what = what, .level = what->once ? "any" : kern_level_name(table->level), .threads = kern_threads()};
    r.rate = what->units / best_time(what, &b->memory, table);
    r.cycles = results->clock * r.threads / r.rate;
    const struct result *bound = what->bound == NULL ? NULL : find(results, what->bound, r.level, r.threads),
                        *single = what->bound == NULL ? NULL : find(results, what->bound, r.level, 1),
                        *scalar = what->once ? NULL : find(results, what->name, "scalar", 1);
    if (table->level == KERN_LEVEL_CUDA)
        r.bound = 0; /* bounds are the processor's */
    else if (bound != NULL)
        r.bound = in_unit(bound, what->unit);
    else if (single != NULL)
        r.bound = r.threads * in_unit(single, what->unit);
    r.scalar = scalar == NULL ? 0 : scalar->rate;
    results->items[results->count++] = r;
}

static void measure_levels(struct bench *b, const struct bench_kernel_case *what, int threads)
{
    for (unsigned level = 0; level < KERN_LEVEL_COUNT; level++) {
        const struct kern_table *table = kern_table_select(1u << level);
        if (table->level != level || (what->once && level > 0))
            continue;
        measure(b, what, table, threads);
    }
}

/* Every call on the device, whatever its size, with the case's matrix placed there with its limbs. */
static enum base_status measure_device(struct bench *b, const struct bench_kernel_case *what, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct kern_placed *placed = NULL;
    size_t stride = what->inner * kern_word_bytes(what->word);
    if (b->device == NULL || what->once || what->cpu)
        return BASE_OK;
    if (what->inner > 0)
        TRY(kern_device_place(b->device, &placed, what->word, b->memory.big, stride, BENCH_BIG_BYTES / stride, what->inner, true, error));
    measure(b, what, kern_device_table(b->device), 1);
    kern_device_forget(b->device, &placed);
    TRY(kern_device_failure(b->device, error));
out:
    return status;
}

static enum base_status open_device(struct bench *b, struct base_error *error)
{
    static const struct kern_crossover always;
    struct kern_device_options options = {.crossover = &always};
    if (b->device_name == NULL)
        return BASE_OK;
    return kern_device_open(&b->device, b->device_name, &options, error);
}

static bool is_bound(const struct bench_kernel_case *cases, size_t count, const struct bench_kernel_case *what)
{
    for (size_t i = 0; i < count; i++)
        if (cases[i].bound != NULL && strcmp(cases[i].bound, what->name) == 0)
            return true;
    return false;
}

static enum base_status run_cases(struct bench *b, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t count;
    const struct bench_kernel_case *cases = bench_kernel_cases(&count);
    for (size_t i = 0; i < count; i++) {
        const struct bench_kernel_case *what = &cases[i];
        if (b->slot != NULL && strncmp(what->name, b->slot, strlen(b->slot)) != 0 && !is_bound(cases, count, what))
            continue;
        if (what->prepare != NULL)
            what->prepare(&b->memory, kern_table_select(~0u));
        measure_levels(b, what, 1);
        if (what->threads && b->threads > 1)
            measure_levels(b, what, (int)b->threads);
        TRY(measure_device(b, what, error));
    }
out:
    return status;
}

static void print_md(const struct results *results)
{
    (void)printf("Core clock %.2f GHz; a bound is measured in the same run.\n\n", results->clock * 1e-9);
    (void)printf("| slot | level | threads | per second | unit | cycles per unit | %% of its bound | bound | times scalar |\n"
                 "|---|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < results->count; i++) {
        const struct result *r = &results->items[i];
        char bound[32] = "", times[32] = "";
        if (r->bound > 0)
            (void)snprintf(bound, sizeof bound, "%.0f", 100 * r->rate / r->bound);
        if (r->scalar > 0 && strcmp(r->level, "scalar") != 0)
            (void)snprintf(times, sizeof times, "%.2f", r->rate / r->scalar);
        (void)printf("| %s | %s | %d | %.4g | %s | %.3f | %s | %s | %s |\n", r->what->name, r->level, r->threads, r->rate, r->what->unit,
                     r->cycles, bound, r->bound > 0 ? r->what->bound : "", times);
    }
    (void)printf("\nbuild %s\n", CACHET_COMMIT);
}

static void print_csv(const struct results *results)
{
    (void)printf("slot,level,threads,per_second,unit,cycles_per_unit,bound,bound_per_second,scalar_per_second,clock_hz,commit\n");
    for (size_t i = 0; i < results->count; i++) {
        const struct result *r = &results->items[i];
        (void)printf("%s,%s,%d,%.6g,%s,%.5g,%s,%.6g,%.6g,%.6g,%s\n", r->what->name, r->level, r->threads, r->rate, r->what->unit, r->cycles,
                     r->bound > 0 ? r->what->bound : "", r->bound, r->scalar, results->clock, CACHET_COMMIT);
    }
}

static void print_json(const struct results *results)
{
    json_t *list = json_array();
    for (size_t i = 0; i < results->count; i++) {
        const struct result *r = &results->items[i];
        json_t *item = json_pack("{s:s, s:s, s:i, s:s, s:f, s:f}", "slot", r->what->name, "level", r->level, "threads", r->threads, "unit",
                                 r->what->unit, "per_second", r->rate, "cycles_per_unit", r->cycles);
        if (r->bound > 0) {
            (void)json_object_set_new(item, "bound", json_string(r->what->bound));
            (void)json_object_set_new(item, "bound_per_second", json_real(r->bound));
        }
        if (r->scalar > 0)
            (void)json_object_set_new(item, "scalar_per_second", json_real(r->scalar));
        (void)json_array_append_new(list, item);
    }
    json_t *root = json_pack("{s:s, s:f, s:s, s:o}", "bench", "kernels", "clock_hz", results->clock, "commit", CACHET_COMMIT, "results", list);
    (void)json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(7));
    (void)putchar('\n');
    json_decref(root);
}

enum base_status bench_kernels_run(int argc, char **argv, struct base_error *error)
{
    enum bench_format format;
    static struct bench b;
    enum base_status status;
    bool done = false;
    b = (struct bench){.output = "md", .threads = (uint64_t)kern_cores()};
    const struct option_entry options[] = {
        {.name = "slot", .value = "PREFIX", .help = "cases whose names begin with it, and bounds alone (default all)", .target = &b.slot},
        {.name = "threads", .value = "N", .help = "products are measured with one thread and with N (default: one for each core)",
         .kind = OPTION_COUNT, .target = &b.threads, .low = 1, .high = 1024},
        {.name = "device", .value = "NAME", .help = "cuda:N: also on this GPU, level cuda: every call, with its copies; matrices lie there",
         .target = &b.device_name},
        {.name = "output", .value = "FORMAT", .help = "md (default), csv or json", .target = &b.output},
        OPTION_END};
    TRY(options_parse(argc, argv,
                      "Measures every kernel slot at every level of this CPU, each beside what limits it: reading memory, multiplying in "
                      "registers, OpenSSL's AES. Takes a minute and 1.2 GB.",
                      NULL, options, &done, error));
    if (done)
        return BASE_OK;
    TRY(bench_format_parse(b.output, &format, error));
    TRY(open_device(&b, error));
    TRY(bench_memory_init(&b.memory, error));
    b.results.clock = measure_clock();
    TRY(run_cases(&b, error));
    (format == BENCH_MD ? print_md : format == BENCH_CSV ? print_csv : print_json)(&b.results);
out:
    kern_device_close(&b.device);
    bench_memory_finish(&b.memory);
    return status;
}
