#include "kernels/device/internal.h"

#include "base/memory.h"
#include "kernels/threads.h"

/* Slots have no parameter for a device: it is the one that is open, or none, and then the CPU does everything. */
static struct kern_device *current;
static struct kern_table cpu; /* of that device, and after it */

void kern_device_use(struct kern_device *device)
{
    current = device;
    if (device != NULL)
        cpu = *device->options.cpu;
}

struct kern_device *kern_device_current(void)
{
    return current;
}

const struct kern_table *kern_device_cpu(void)
{
    return &cpu;
}

/* ---- products ---- */

/* The first one whose words begin behind an address. */
static size_t first_behind(const struct kern_device *device, uintptr_t at)
{
    size_t low = 0, high = device->placed_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((uintptr_t)device->placed[middle]->matrix.w <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct kern_placed *kern_device_find(const struct kern_device *device, const struct kern_product *job, size_t *ret_first)
{
    uintptr_t at = (uintptr_t)job->w;
    for (size_t i = first_behind(device, at); i-- > 0;) {
        struct kern_placed *p = device->placed[i];
        size_t distance = at - (uintptr_t)p->matrix.w;
        if (distance >= device->placed_most)
            return NULL;
        if (p->matrix.word != job->word || p->matrix.inner < job->inner || (p->matrix.w_stride != job->w_stride && job->outs > 1))
            continue;
        size_t row = distance / p->matrix.w_stride;
        if (distance % p->matrix.w_stride == 0 && row < p->matrix.outs && job->outs <= p->matrix.outs - row) {
            *ret_first = row;
            return p;
        }
    }
    return NULL;
}

void kern_device_list(struct kern_device *device, struct kern_placed *placed)
{
    size_t at = first_behind(device, (uintptr_t)placed->matrix.w), bytes = placed->matrix.outs * placed->matrix.w_stride;
    memmove(device->placed + at + 1, device->placed + at, (device->placed_count++ - at) * sizeof *device->placed);
    device->placed[at] = placed;
    device->placed_most = bytes > device->placed_most ? bytes : device->placed_most;
}

void kern_device_unlist(struct kern_device *device, const struct kern_placed *placed)
{
    for (size_t i = first_behind(device, (uintptr_t)placed->matrix.w); i-- > 0;)
        if (device->placed[i] == placed) {
            memmove(device->placed + i, device->placed + i + 1, (--device->placed_count - i) * sizeof *device->placed);
            return;
        }
}

static size_t product_size(const struct kern_product *job)
{
    size_t size;
    return base_size_mul(job->rows, job->outs, &size) && base_size_mul(size, job->inner, &size) ? size : SIZE_MAX;
}

static bool worth_it(const struct kern_device *device, const struct kern_product *job)
{
    bool many = job->rows > KERN_DEVICE_FEW_ROWS;
    size_t from = device->crossover.gemm[job->word][many];
    return from != SIZE_MAX && product_size(job) >= from && (job->placed != NULL || job->rows >= device->crossover.moved[job->word]);
}

void kern_device_on_cpu(const struct kern_product *job)
{
    kern_gemm_over_threads(&cpu, job->word, job->y, job->y_stride, job->a, job->a_stride, job->rows, job->w, job->w_stride, job->outs, job->inner);
}

/* With the lock. */
static enum base_status multiply_there(struct kern_device *device, struct kern_product *job, bool asked, bool *ret_left, struct base_error *error)
{
    struct kern_placed *placed = kern_device_find(device, job, &job->first);
    enum base_status status = BASE_ERR_SUPPORT;
    if (placed != NULL) {
        job->placed = placed->matrix.placed;
        job->host = placed->matrix.w;
        job->stale = placed->stale;
    }
    if (!asked && !worth_it(device, job))
        return status;
    if (!asked && job->placed != NULL)
        status = kern_device_start(device, &(struct kern_job){.kind = &kern_device_product, .product = *job}, error);
    *ret_left = status == BASE_OK;
    if (status == BASE_ERR_SUPPORT && !device->out_of_use)
        do
            status = device->backend->gemm(device->handle, job, error);
        while (kern_device_again(device, status));
    if (placed != NULL && status == BASE_OK)
        kern_device_fresh(device, placed);
    return status;
}

void kern_device_multiply(struct kern_device *device, struct kern_product *job, bool asked)
{
    struct base_error error = {0};
    bool left = false;
    if (device != NULL && product_size(job) > 0) {
        pthread_mutex_lock(&device->lock);
        enum base_status status = device->out_of_use ? BASE_ERR_SUPPORT : multiply_there(device, job, asked, &left, &error);
        if (left ? kern_device_left(device) : kern_device_end(device, status, &error))
            return;
    }
    kern_device_on_cpu(job);
}

static void gemm_word(enum kern_word word, KERN_GEMM_PARAMETERS)
{
    struct kern_product job = {.word = word, .y = y, .y_stride = y_stride, .a = a, .a_stride = a_stride, .rows = rows, .w = w, .w_stride = w_stride,
                               .outs = outs, .inner = inner};
    kern_device_multiply(current, &job, false);
}

static void gemm64(KERN_GEMM_PARAMETERS)
{
    gemm_word(KERN_WORD_64, y, y_stride, a, a_stride, rows, w, w_stride, outs, inner);
}

static void gemm48(KERN_GEMM_PARAMETERS)
{
    gemm_word(KERN_WORD_48, y, y_stride, a, a_stride, rows, w, w_stride, outs, inner);
}

static void gemm32(KERN_GEMM_PARAMETERS)
{
    gemm_word(KERN_WORD_32, y, y_stride, a, a_stride, rows, w, w_stride, outs, inner);
}

/* ---- the other slots ---- */

/* Whether a call of `size` in a family is for the device; what it counts is in kern_device_family. */
bool kern_device_takes(struct kern_device *device, enum kern_device_family family, size_t size)
{
    return kern_device_begin(device, size, device == NULL ? 0 : device->crossover.family[family]);
}

/* The device's `slot`, if `size` is large enough and it succeeds. */
#define DONE(family, size, slot, ...) (kern_device_takes(current, family, size) && slot##_done(__VA_ARGS__))
#define DEVICE_SLOT(slot, parameters, arguments)                                                                       \
    static bool slot##_done parameters                                                                                 \
    {                                                                                                                  \
        struct base_error error = {0};                                                                                 \
        enum base_status status;                                                                                       \
        do                                                                                                             \
            status = current->backend->slot arguments;                                                                 \
        while (kern_device_again(current, status));                                                                    \
        return kern_device_end(current, status, &error);                                                               \
    }

/* A table that is placed as a matrix of 32-bit words is read there; another one is moved under the rule of products. */
static bool combine32_done(struct kern_device *device, uint32_t *y, const uint32_t *a, size_t a_stride, size_t rows, struct kern_product *table)
{
    struct base_error error = {0};
    const struct kern_placed *placed = kern_device_find(device, table, &table->first);
    enum base_status status = BASE_ERR_SUPPORT;
    if (placed != NULL && placed->stale.rows == 0)
        table->placed = placed->matrix.placed;
    if (table->placed != NULL || rows >= device->crossover.moved[KERN_WORD_32])
        do
            status = device->backend->combine32(device->handle, y, a, a_stride, rows, table, &error);
        while (kern_device_again(device, status));
    return kern_device_end(device, status, &error);
}

static void combine32(uint32_t *y, const uint32_t *a, size_t a_stride, size_t rows, const uint32_t *w, size_t width, size_t count)
{
    struct kern_product table = {.word = KERN_WORD_32, .w = w, .w_stride = 4 * width, .outs = count, .inner = width};
    if (!kern_device_takes(current, KERN_DEVICE_GATES, rows * width * count) || !combine32_done(current, y, a, a_stride, rows, &table))
        cpu.combine32(y, a, a_stride, rows, w, width, count);
}

DEVICE_SLOT(dot, (uint64_t *ret, const uint64_t *a, const uint64_t *b, size_t count), (current->handle, ret, a, b, count, &error))

static uint64_t dot(const uint64_t *a, const uint64_t *b, size_t count)
{
    uint64_t sum;
    return DONE(KERN_DEVICE_ELEMENTWISE, count, dot, &sum, a, b, count) ? sum : cpu.dot(a, b, count);
}

DEVICE_SLOT(prg, (const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out, size_t bytes, uint64_t mask),
            (current->handle, key, counter, first_block, out, bytes, mask, false, &error))

static void prg_fill(const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out, size_t bytes)
{
    if (!DONE(KERN_DEVICE_PRG, bytes, prg, key, counter, first_block, out, bytes, ~UINT64_C(0)))
        cpu.prg_fill(key, counter, first_block, out, bytes);
}

static void prg_words(const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring)
{
    if (!DONE(KERN_DEVICE_PRG, 8 * count, prg, key, counter, 0, (uint8_t *)out, 8 * count, kern_ring_mask(ring)))
        cpu.prg_words(key, counter, out, count, ring);
}

static size_t chunk(size_t count, size_t at)
{
    return count - at < KERN_DEVICE_CHUNK ? count - at : KERN_DEVICE_CHUNK;
}

DEVICE_SLOT(hash_tweaked, (uint8_t *out, const uint8_t *in, size_t count, uint64_t low, uint64_t step, uint64_t high),
            (current->handle, out, in, count, low, step, high, &error))

static void hash_tweaked(uint8_t *out, const uint8_t *in, size_t count, uint64_t low, uint64_t step, uint64_t high)
{
    for (size_t at = 0; at < count; at += KERN_DEVICE_CHUNK) {
        size_t n = chunk(count, at);
        if (!DONE(KERN_DEVICE_FSS, 2 * n, hash_tweaked, out + 16 * at, in + 16 * at, n, low + at * step, step, high))
            cpu.hash_tweaked(out + 16 * at, in + 16 * at, n, low + at * step, step, high);
    }
}

static size_t leaf_blocks(const struct kern_dpf_shape *shape)
{
    return (((size_t)shape->groups << shape->nu) + 1) / 2;
}

/* AES blocks of one key: on a path, or of the whole tree. */
static size_t path_blocks(const struct kern_dpf_shape *shape)
{
    return (size_t)(shape->domain_bits - shape->nu) + leaf_blocks(shape);
}

static size_t tree_blocks(const struct kern_dpf_shape *shape)
{
    return ((size_t)1 << (shape->domain_bits - shape->nu)) * (2 + leaf_blocks(shape));
}

DEVICE_SLOT(dpf_generate,
            (const struct kern_dpf_keys *keys, const uint64_t *alpha, const uint64_t *beta, const uint8_t *root0, const uint8_t *root1),
            (current->handle, keys, alpha, beta, root0, root1, &error))

static void dpf_generate(const struct kern_dpf_keys *keys, const uint64_t *alpha, const uint64_t *beta, const uint8_t *root0,
                         const uint8_t *root1)
{
    if (!DONE(KERN_DEVICE_FSS, keys->count * path_blocks(&keys->shape), dpf_generate, keys, alpha, beta, root0, root1))
        cpu.dpf_generate(keys, alpha, beta, root0, root1);
}

DEVICE_SLOT(dpf_full, (const struct kern_dpf_keys *keys, int side, const uint8_t *root, size_t first, size_t count, uint64_t *out),
            (current->handle, keys, side, root, first, count, out, &error))

static void dpf_full(const struct kern_dpf_keys *keys, int side, const uint8_t *root, size_t first, size_t count, uint64_t *out, void *scratch)
{
    if (!DONE(KERN_DEVICE_FSS, count * tree_blocks(&keys->shape), dpf_full, keys, side, root, first, count, out))
        cpu.dpf_full(keys, side, root, first, count, out, scratch);
}

DEVICE_SLOT(dpf_point, (const struct kern_dpf_keys *keys, int side, const uint8_t *root, const uint64_t *x, uint64_t *out),
            (current->handle, keys, side, root, x, out, &error))

static void dpf_point(const struct kern_dpf_keys *keys, int side, const uint8_t *root, const uint64_t *x, uint64_t *out)
{
    if (!DONE(KERN_DEVICE_FSS, keys->count * path_blocks(&keys->shape), dpf_point, keys, side, root, x, out))
        cpu.dpf_point(keys, side, root, x, out);
}

DEVICE_SLOT(bit_generate,
            (int k, size_t n, const uint64_t *alpha, const uint8_t *root0, const uint8_t *root1, uint8_t *seed_words, uint8_t *bit_words,
             uint8_t *block_words),
            (current->handle, k, n, alpha, root0, root1, seed_words, bit_words, block_words, &error))

static void bit_generate(int k, size_t n, const uint64_t *alpha, const uint8_t *root0, const uint8_t *root1, uint8_t *seed_words,
                         uint8_t *bit_words, uint8_t *block_words)
{
    if (!DONE(KERN_DEVICE_FSS, n * (size_t)k, bit_generate, k, n, alpha, root0, root1, seed_words, bit_words, block_words))
        cpu.bit_generate(k, n, alpha, root0, root1, seed_words, bit_words, block_words);
}

DEVICE_SLOT(bit_less,
            (int k, size_t n, int side, const uint8_t *root, const uint8_t *seed_words, const uint8_t *bit_words, const uint8_t *block_words,
             const uint64_t *x, uint8_t *out),
            (current->handle, k, n, side, root, seed_words, bit_words, block_words, x, out, &error))

static void bit_less(int k, size_t n, int side, const uint8_t *root, const uint8_t *seed_words, const uint8_t *bit_words,
                     const uint8_t *block_words, const uint64_t *x, uint8_t *out)
{
    if (!DONE(KERN_DEVICE_FSS, n * (size_t)k, bit_less, k, n, side, root, seed_words, bit_words, block_words, x, out))
        cpu.bit_less(k, n, side, root, seed_words, bit_words, block_words, x, out);
}

DEVICE_SLOT(dcf_generate,
            (const struct kern_dcf_keys *keys, const uint64_t *alpha, const uint64_t *beta, const uint8_t *root0, const uint8_t *root1),
            (current->handle, keys, alpha, beta, root0, root1, &error))

static void dcf_generate(const struct kern_dcf_keys *keys, const uint64_t *alpha, const uint64_t *beta, const uint8_t *root0,
                         const uint8_t *root1)
{
    size_t blocks = (size_t)keys->shape.domain_bits * (1 + leaf_blocks(&keys->shape));
    if (!DONE(KERN_DEVICE_FSS, keys->count * blocks, dcf_generate, keys, alpha, beta, root0, root1))
        cpu.dcf_generate(keys, alpha, beta, root0, root1);
}

size_t kern_device_dcf_size(const struct kern_dcf_keys *keys, size_t points)
{
    return keys->count * points * (size_t)keys->shape.domain_bits * (1 + leaf_blocks(&keys->shape));
}

DEVICE_SLOT(dcf_eval, (const struct kern_dcf_keys *keys, int side, const uint8_t *root, const uint64_t *x, size_t points, uint64_t *out),
            (current->handle, keys, side, root, x, points, out, false, &error))

static void dcf_eval(const struct kern_dcf_keys *keys, int side, const uint8_t *root, const uint64_t *x, size_t points, uint64_t *out)
{
    if (!DONE(KERN_DEVICE_FSS, kern_device_dcf_size(keys, points), dcf_eval, keys, side, root, x, points, out))
        cpu.dcf_eval(keys, side, root, x, points, out);
}

DEVICE_SLOT(pack_bits, (uint8_t *out, const uint64_t *in, size_t count, int ring), (current->handle, out, in, count, ring, false, &error))
DEVICE_SLOT(unpack, (uint64_t *out, const uint8_t *in, size_t count, int ring, bool add), (current->handle, out, in, count, ring, add, false, &error))
DEVICE_SLOT(round_shift, (uint64_t *z, const uint64_t *x, size_t count, int ring, int f), (current->handle, z, x, count, ring, f, &error))

static void pack_bits(uint8_t *out, const uint64_t *in, size_t count, int ring)
{
    for (size_t at = 0; at < count; at += KERN_DEVICE_CHUNK) {
        size_t n = chunk(count, at);
        uint8_t *to = out + at / 8 * (size_t)ring;
        if (!DONE(KERN_DEVICE_ELEMENTWISE, n, pack_bits, to, in + at, n, ring))
            cpu.pack_bits(to, in + at, n, ring);
    }
}

static void unpack_chunks(uint64_t *out, const uint8_t *in, size_t count, int ring, bool add)
{
    for (size_t at = 0; at < count; at += KERN_DEVICE_CHUNK) {
        size_t n = chunk(count, at);
        const uint8_t *from = in + at / 8 * (size_t)ring;
        if (!DONE(KERN_DEVICE_ELEMENTWISE, n, unpack, out + at, from, n, ring, add))
            (add ? cpu.unpack_add : cpu.unpack_bits)(out + at, from, n, ring);
    }
}

static void unpack_bits(uint64_t *out, const uint8_t *in, size_t count, int ring)
{
    unpack_chunks(out, in, count, ring, false);
}

static void unpack_add(uint64_t *out, const uint8_t *in, size_t count, int ring)
{
    unpack_chunks(out, in, count, ring, true);
}

static void round_shift(uint64_t *z, const uint64_t *x, size_t count, int ring, int f)
{
    for (size_t at = 0; at < count; at += KERN_DEVICE_CHUNK) {
        size_t n = chunk(count, at);
        if (!DONE(KERN_DEVICE_ELEMENTWISE, n, round_shift, z + at, x + at, n, ring, f))
            cpu.round_shift(z + at, x + at, n, ring, f);
    }
}

DEVICE_SLOT(grid_dot, (uint64_t *ret, const uint64_t *hot, const uint64_t *table, uint64_t m, int h, int s),
            (current->handle, ret, hot, table, m, h, s, &error))
DEVICE_SLOT(segment_dot, (uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells, int triples),
            (current->handle, ret, hot, c, j, cells, triples, &error))
DEVICE_SLOT(turn_add, (uint64_t *share, const uint64_t *word, const uint64_t *m, size_t n, const struct kern_turn *turn),
            (current->handle, share, word, m, n, turn, &error))
DEVICE_SLOT(power_words,
            (uint64_t *out, const uint64_t *words, size_t stride, int limbs, const uint64_t *m, size_t n, const struct base_exact_power *factor,
             int s),
            (current->handle, out, words, stride, limbs, m, n, factor, s, &error))

static uint64_t grid_dot(const uint64_t *hot, const uint64_t *table, uint64_t m, int h, int s)
{
    uint64_t sum;
    return DONE(KERN_DEVICE_GATES, (size_t)1 << h, grid_dot, &sum, hot, table, m, h, s) ? sum : cpu.grid_dot(hot, table, m, h, s);
}

static void segment_dot(uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells, int triples)
{
    if (!DONE(KERN_DEVICE_GATES, 3 * cells * (size_t)triples, segment_dot, ret, hot, c, j, cells, triples))
        cpu.segment_dot(ret, hot, c, j, cells, triples);
}

static void turn_add(uint64_t *share, const uint64_t *word, const uint64_t *m, size_t n, const struct kern_turn *turn)
{
    for (size_t at = 0; at < n; at += KERN_DEVICE_CHUNK)
        if (!DONE(KERN_DEVICE_GATES, chunk(n, at), turn_add, share + at, word + at, m + at, chunk(n, at), turn))
            cpu.turn_add(share + at, word + at, m + at, chunk(n, at), turn);
}

static void power_words(uint64_t *out, const uint64_t *words, size_t stride, int limbs, const uint64_t *m, size_t n,
                        const struct base_exact_power *factor, int s)
{
    if (!DONE(KERN_DEVICE_GATES, n, power_words, out, words, stride, limbs, m, n, factor, s))
        cpu.power_words(out, words, stride, limbs, m, n, factor, s);
}

bool kern_device_worth_keys(const struct kern_device *device, const struct kern_dpf_shape *shape, size_t count)
{
    size_t from = device->crossover.family[KERN_DEVICE_FSS];
    return from != SIZE_MAX && count > 0 && count * tree_blocks(shape) >= from;
}

static const struct kern_table table = {
    .level = KERN_LEVEL_CUDA,
    .more = &kern_device_accelerated,
    .gemm = {gemm64, gemm48, gemm32},
    .combine32 = combine32,
    .dot = dot,
    .prg_fill = prg_fill,
    .prg_words = prg_words,
    .hash_tweaked = hash_tweaked,
    .dpf_generate = dpf_generate,
    .dpf_full = dpf_full,
    .dpf_point = dpf_point,
    .bit_generate = bit_generate,
    .bit_less = bit_less,
    .dcf_generate = dcf_generate,
    .dcf_eval = dcf_eval,
    .pack_bits = pack_bits,
    .unpack_bits = unpack_bits,
    .unpack_add = unpack_add,
    .round_shift = round_shift,
    .grid_dot = grid_dot,
    .segment_dot = segment_dot,
    .turn_add = turn_add,
    .power_words = power_words,
};

const struct kern_table *kern_device_table(struct kern_device *device)
{
    (void)device;
    return &table;
}
