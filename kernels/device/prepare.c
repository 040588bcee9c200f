/* Before a device is used: it must compute what the CPU computes, and both are timed, so that each gets the calls in which it is faster. */
#include "kernels/device/internal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"

enum {
    INNER = 1024,       /* of the products that are timed */
    MOST_OUTS = 4096,
    FEWEST_OUTS = 64,
    MANY_ROWS = 64,
    TRIES = 3,          /* the best of them: neighbours only ever add time */
    PROOF_ROWS = 5,
    PROOF_OUTS = 9,
    PROOF_INNER = 300,
    MOST_ELEMENTS = 1 << 18,
};

#define LONG_ENOUGH 0.002 /* seconds of a product that is timed */

/* Made-up operands; time does not depend on their values. */
struct operands {
    uint8_t *w;
    uint64_t *a, *y, *other;
    size_t inner, outs;
};

static enum base_status make_operands(struct operands *ret, size_t rows, size_t outs, size_t inner, struct base_error *error)
{
    enum base_status status;
    uint64_t random = 61;
    ret->inner = inner;
    ret->outs = outs;
    TRY(base_alloc(&ret->w, outs * inner, 8, error));
    TRY(base_alloc(&ret->a, rows * inner, 8, error));
    TRY(base_alloc(&ret->y, rows * outs, 8, error));
    TRY(base_alloc(&ret->other, rows * outs, 8, error));
    for (size_t i = 0; i < outs * inner; i++)
        kern_store64(ret->w + 8 * i, base_random_next(&random));
    for (size_t i = 0; i < rows * inner; i++)
        ret->a[i] = base_random_next(&random);
out:
    return status;
}

static void free_operands(struct operands *operands)
{
    base_free(&operands->w);
    base_free(&operands->a);
    base_free(&operands->y);
    base_free(&operands->other);
}

static struct kern_product product_of(const struct operands *op, enum kern_word word, size_t rows, size_t outs)
{
    return (struct kern_product){.word = word, .y = op->y, .y_stride = outs, .a = op->a, .a_stride = op->inner, .rows = rows,
                                 .w = op->w, .w_stride = op->inner * kern_word_bytes(word), .outs = outs, .inner = op->inner};
}

static void on_cpu(const struct kern_device *device, const struct kern_product *job)
{
    device->options.cpu->gemm[job->word](job->y, job->y_stride, job->a, job->a_stride, job->rows, job->w, job->w_stride, job->outs, job->inner);
}

/* ---- does it compute what the CPU does ---- */

/* One product with the way that is chosen: random words in most rows, least and largest limbs in others. */
static enum base_status prove_product(const struct kern_device *device, const struct operands *op, enum kern_word word, size_t rows, bool *ret,
                                      struct base_error *error)
{
    struct kern_product job = product_of(op, word, rows, op->outs);
    enum base_status status = device->backend->gemm(device->handle, &job, error);
    if (status != BASE_OK && status != BASE_ERR_SUPPORT)
        return status;
    job.y = op->other;
    on_cpu(device, &job);
    *ret = status == BASE_OK && memcmp(op->y, op->other, rows * op->outs * sizeof *op->y) == 0;
    return BASE_OK;
}

static enum base_status prove_way(const struct kern_device *device, const struct operands *op, size_t rows, bool *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    *ret = true;
    for (int word = 0; *ret && status == BASE_OK && word < KERN_WORDS; word++)
        status = prove_product(device, op, (enum kern_word)word, rows, ret, error);
    return status;
}

static void extreme_rows(const struct operands *op)
{
    uint64_t least = 0 - UINT64_C(0x8080808080808080);
    for (size_t i = 0; i < op->inner; i++) {
        kern_store64(op->w + 8 * i, least);
        op->a[i] = least;
        kern_store64(op->w + 8 * (op->inner + i), UINT64_MAX);
        op->a[op->inner + i] = UINT64_MAX;
    }
}

/* ---- how fast is it ---- */

typedef enum base_status (*timed_fn)(const struct kern_device *device, void *job, size_t size, bool cpu, struct base_error *error);

/* Best of some tries, in seconds; infinite where the device does not take the call. */
static enum base_status best_time(const struct kern_device *device, timed_fn run, void *job, size_t size, bool cpu, double *ret,
                                  struct base_error *error)
{
    *ret = 1e30;
    for (int i = 0; i < TRIES; i++) {
        double start = base_clock_seconds();
        enum base_status status = run(device, job, size, cpu, error);
        double spent = base_clock_seconds() - start;
        if (status == BASE_ERR_SUPPORT)
            return BASE_OK;
        if (status != BASE_OK)
            return status;
        *ret = spent < *ret ? spent : *ret;
    }
    return BASE_OK;
}

/* The smallest size from `least` to `most`, doubling, from which on the device is faster every time. The CPU's time grows at most as the size
 * does, and the device's does not fall: where that cannot be enough any more, larger sizes are not tried. */
static enum base_status crossover_of(const struct kern_device *device, timed_fn run, void *job, size_t least, size_t most, size_t *ret,
                                     struct base_error *error)
{
    *ret = SIZE_MAX;
    for (size_t size = least; size <= most; size *= 2) {
        double there, here;
        enum base_status status = best_time(device, run, job, size, false, &there, error);
        if (status == BASE_OK)
            status = best_time(device, run, job, size, true, &here, error);
        if (status != BASE_OK)
            return status;
        if (there >= here * (double)(most / size))
            break;
        if (there >= here)
            *ret = SIZE_MAX;
        else if (*ret == SIZE_MAX)
            *ret = size;
    }
    return BASE_OK;
}

struct product_job {
    const struct operands *op;
    enum kern_word word;
    size_t rows, outs; /* size counts rows where outs is fixed, else outs */
    void *placed;
};

static enum base_status run_product(const struct kern_device *device, void *context, size_t size, bool cpu, struct base_error *error)
{
    const struct product_job *job = context;
    struct kern_product product = job->outs == 0 ? product_of(job->op, job->word, job->rows, size) : product_of(job->op, job->word, size, job->outs);
    product.placed = job->placed;
    if (!cpu)
        return device->backend->gemm(device->handle, &product, error);
    on_cpu(device, &product);
    return BASE_OK;
}

static enum base_status measure_products(struct kern_device *device, const struct operands *op, enum kern_word word, struct base_error *error)
{
    enum base_status status;
    struct kern_product matrix = product_of(op, word, 1, op->outs);
    struct product_job job = {.op = op, .word = word};
    size_t outs, *from = device->crossover.gemm[word];
    TRY(device->backend->place(device->handle, &job.placed, &matrix, false, error));
    for (int many = 0; many < 2; many++) {
        job.rows = many ? MANY_ROWS : 1;
        TRY(crossover_of(device, run_product, &job, FEWEST_OUTS, op->outs, &outs, error));
        from[many] = outs == SIZE_MAX ? SIZE_MAX : job.rows * outs * op->inner;
    }
    device->backend->forget(device->handle, job.placed);
    job.placed = NULL;
    job.outs = op->outs / 4;
    TRY(crossover_of(device, run_product, &job, 1, MANY_ROWS, &device->crossover.moved[word], error));
out:
    if (job.placed != NULL)
        device->backend->forget(device->handle, job.placed);
    return status;
}

static const struct kern_aes_key *some_key(const struct operands *op)
{
    return (const struct kern_aes_key *)(const void *)op->a;
}

static enum base_status run_prg(const struct kern_device *device, void *context, size_t size, bool cpu, struct base_error *error)
{
    const struct operands *op = context;
    if (!cpu)
        return device->backend->prg(device->handle, some_key(op), 1, 0, op->w, size, ~UINT64_C(0), false, error);
    device->options.cpu->prg_fill(some_key(op), 1, 0, op->w, size);
    return BASE_OK;
}

enum { KEY_BITS = 20 };

/* Comparisons with made-up keys: `size` AES blocks. */
static enum base_status run_less(const struct kern_device *device, void *context, size_t size, bool cpu, struct base_error *error)
{
    const struct operands *op = context;
    size_t n = size / KEY_BITS;
    const uint8_t *words = op->w;
    uint8_t *out = (uint8_t *)op->y;
    if (!cpu)
        return device->backend->bit_less(device->handle, KEY_BITS, n, 0, words, words, words, words, op->other, out, error);
    device->options.cpu->bit_less(KEY_BITS, n, 0, words, words, words, words, op->other, out);
    return BASE_OK;
}

static enum base_status run_unpack(const struct kern_device *device, void *context, size_t size, bool cpu, struct base_error *error)
{
    const struct operands *op = context;
    if (!cpu)
        return device->backend->unpack(device->handle, op->y, op->w, size, 40, false, false, error);
    device->options.cpu->unpack_bits(op->y, op->w, size, 40);
    return BASE_OK;
}

static enum base_status run_turn(const struct kern_device *device, void *context, size_t size, bool cpu, struct base_error *error)
{
    const struct operands *op = context;
    static const int32_t quarter[3] = {1 << 30, 759250125, 0};
    struct kern_turn turn = {quarter, 3, 1, 0, 10, 0};
    if (!cpu)
        return device->backend->turn_add(device->handle, op->y, op->other, op->other, size, &turn, error);
    device->options.cpu->turn_add(op->y, op->other, op->other, size, &turn);
    return BASE_OK;
}

static enum base_status measure(struct kern_device *device, const struct operands *op, struct base_error *error)
{
    enum base_status status;
    size_t *family = device->crossover.family;
    void *job = (void *)(uintptr_t)op;
    for (int word = 0; word < KERN_WORDS; word++)
        TRY(measure_products(device, op, (enum kern_word)word, error));
    memset(op->other, 0, MOST_ELEMENTS * sizeof *op->other);
    TRY(crossover_of(device, run_prg, job, 1 << 12, 1 << 22, &family[KERN_DEVICE_PRG], error));
    TRY(crossover_of(device, run_less, job, 1 << 10, 1 << 17, &family[KERN_DEVICE_FSS], error));
    TRY(crossover_of(device, run_unpack, job, 1 << 10, MOST_ELEMENTS, &family[KERN_DEVICE_ELEMENTWISE], error));
    TRY(crossover_of(device, run_turn, job, 1 << 10, MOST_ELEMENTS, &family[KERN_DEVICE_GATES], error));
out:
    return status;
}

/* ---- both ---- */

/* Seconds per out with the way that is chosen, at a size that takes long enough to tell. */
static enum base_status time_way(const struct kern_device *device, const struct operands *op, double *ret, struct base_error *error)
{
    struct product_job job = {.op = op, .word = KERN_WORD_64, .rows = MANY_ROWS};
    enum base_status status = BASE_OK;
    double spent = 0;
    for (size_t outs = FEWEST_OUTS; status == BASE_OK && outs <= op->outs && spent < LONG_ENOUGH; outs *= 2) {
        status = best_time(device, run_product, &job, outs, false, &spent, error);
        *ret = spent / (double)outs;
    }
    return status;
}

static enum base_status choose_way(struct kern_device *device, const struct operands *proof, const struct operands *op, struct base_error *error)
{
    const struct kern_backend *backend = device->backend;
    enum base_status status = BASE_OK;
    double best = 1e30, spent = 0;
    int chosen = -1;
    bool right;
    for (int way = 0; way < backend->ways; way++) {
        if (!backend->way_offered(device->handle, way))
            continue;
        backend->choose(device->handle, way);
        TRY(prove_way(device, proof, PROOF_ROWS, &right, error));
        if (right && op != NULL)
            TRY(time_way(device, op, &spent, error));
        if (!right && device->options.report != NULL)
            device->options.report(device->options.context, "device: one of its ways of multiplying computes wrongly and is not used");
        if (right && spent < best) {
            best = spent;
            chosen = way;
        }
    }
    backend->choose(device->handle, chosen);
    TRY(prove_way(device, proof, 1, &right, error));
    TRY_THAT(right && chosen >= 0, error, BASE_ERR_MISMATCH,
             "device: products differ from the CPU's: do not use it, and have its memory and driver looked at");
out:
    return status;
}

enum base_status kern_device_prepare(struct kern_device *device, bool measured, struct base_error *error)
{
    enum base_status status;
    struct operands proof = {0}, op = {0};
    TRY(make_operands(&proof, PROOF_ROWS, PROOF_OUTS, PROOF_INNER, error));
    extreme_rows(&proof);
    if (measured)
        TRY(make_operands(&op, MANY_ROWS, MOST_OUTS, INNER, error));
    TRY(choose_way(device, &proof, measured ? &op : NULL, error));
    if (measured)
        TRY(measure(device, &op, error));
out:
    free_operands(&proof);
    free_operands(&op);
    return status;
}
