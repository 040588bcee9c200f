/* How often a party waits for its device between two exchanges of a decode step: the emulated device is one party's alone, with every slot on it, or with
 * products and gates by full evaluation, which are what a GPU takes of a step of one row. The other parties have none. */
#include "tests/engine/decoder/request_support.h"
#include "tests/kernels/cuda_emulator/control.h"

enum { WORK_BYTES = 64 << 20, SEED = 5, MOST = 64 };

/* Of the step that is watched: between the exchanges of two rounds, or what P0 deals in one. */
struct waits {
    struct kern_device *device;
    size_t rounds, between[MOST + 1]; /* how many rounds had so many waits; the last ones: that many or more */
    struct kern_device_counts before, last, sum;
    bool watching;
};
static struct waits waits;

static void close_round(struct waits *w)
{
    struct kern_device_counts now = kern_device_counts(w->device);
    size_t n = now.waits - w->last.waits;
    w->between[n < MOST ? n : MOST]++;
    w->rounds++;
    w->last = now;
}

/* Asked once in every round: by P1 and P2 as the last thing before they exchange. */
static bool in_round(void *context)
{
    (void)context;
    if (waits.watching)
        close_round(&waits);
    return false;
}

static void watch(const struct request *r, struct mpc_party *p, size_t step)
{
    if (r->only != (int)p->role + 1)
        return;
    p->wants_stop = in_round;
    if (step == r->steps) {
        struct kern_device_counts now = kern_device_counts(waits.device), *sum = &waits.sum;
        *sum = (struct kern_device_counts){now.on_device - waits.before.on_device, now.on_cpu - waits.before.on_cpu, now.waits - waits.before.waits,
                                           now.launches - waits.before.launches, now.copies - waits.before.copies};
        waits.watching = false;
    } else if (step + 1 == r->steps) {
        waits.before = waits.last = kern_device_counts(waits.device);
        waits.watching = true;
    }
}

static size_t measure(struct request r, int role, const struct kern_crossover *crossover, const char *what)
{
    struct kern_device_options options = {.work_bytes = WORK_BYTES, .crossover = crossover};
    struct base_error error = {0};
    struct trio trio = {0};
    char line[256] = "";
    check_ok(kern_device_open_backend(&r.device, kern_emulated_backend(), 0, &options, &error), &error, "device");
    r.kern = kern_device_table(r.device);
    r.only = role + 1;
    r.watch = watch;
    waits = (struct waits){.device = r.device};
    check_ok(request_try(&r, SEED, &trio, &error), &error, what);
    check_ok(trio_check(&trio, &error), &error, what);
    size_t most = 0;
    for (size_t n = 0, at = 0; n <= MOST; n++)
        if (waits.between[n] > 0) {
            at += (size_t)snprintf(line + at, sizeof line - at, " %zu:%zu", n, waits.between[n]);
            most = n;
        }
    print_message("P%d, %s: %zu rounds, %zu waits, at most %zu%s between two; %zu launches, %zu copies, %zu calls on the CPU; rounds by waits:%s\n", role, what,
                  waits.rounds, waits.sum.waits, most, most == MOST ? " or more" : "", waits.sum.launches, waits.sum.copies, waits.sum.on_cpu, line);
    trio_finish(&trio);
    kern_device_close(&r.device);
    assert_int_equal(kern_emulator_alive(), 0);
    return most;
}

static void test_waits(void **state)
{
    (void)state;
    static const struct kern_crossover kinds[] = {{.gemm = {{0}}},
                                                  {.family = {[KERN_DEVICE_ELEMENTWISE] = SIZE_MAX, [KERN_DEVICE_GATES] = SIZE_MAX}},
                                                  {.family = {[KERN_DEVICE_PRG] = SIZE_MAX, [KERN_DEVICE_ELEMENTWISE] = SIZE_MAX, [KERN_DEVICE_GATES] = SIZE_MAX}}};
    static const char *const names[] = {"every slot", "products, keys and keystreams", "products and keys"};
    struct request r = {.policy = &kv_policy_full, .rows = {6, 3, 1}, .steps = 3, .context = 16, .chunk = 6};
    for (int general = 0; general < 2; general++) {
        struct model model;
        assert_true(model_open(&model, "odd", (struct model_options){.shape = &model_odd_shape, .context = r.context, .general_attention = general,
                                                                      .general_activation = general}));
        r.model = &model;
        print_message("%s attention and activation:\n", general ? "general" : "calibrated");
        for (int role = 0; role < 3; role++)
            for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
                size_t most = measure(r, role, &kinds[i], names[i]);
                assert_true(i < 2 || most <= 1);
            }
        model_close(&model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_waits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
