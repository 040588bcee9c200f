#include "kernels/device/internal.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- failures ---- */

static void note_failure(struct kern_device *device, const struct base_error *error)
{
    device->out_of_use = true;
    device->failure = *error;
    base_error_prefix(&device->failure, "device: from here on the CPU does its work");
    if (device->options.report != NULL)
        device->options.report(device->options.context, device->failure.text);
}

bool kern_device_begin(struct kern_device *device, size_t size, size_t from)
{
    if (device == NULL || size == 0)
        return false;
    pthread_mutex_lock(&device->lock);
    if (!device->out_of_use && size >= from && from != SIZE_MAX)
        return true;
    device->counts.on_cpu++;
    pthread_mutex_unlock(&device->lock);
    return false;
}

bool kern_device_end(struct kern_device *device, enum base_status status, const struct base_error *error)
{
    if (status != BASE_OK && status != BASE_ERR_SUPPORT)
        note_failure(device, error);
    device->counts.on_device += status == BASE_OK;
    device->counts.on_cpu += status != BASE_OK;
    pthread_mutex_unlock(&device->lock);
    return status == BASE_OK;
}

struct kern_device_counts kern_device_counts(struct kern_device *device)
{
    pthread_mutex_lock(&device->lock);
    struct kern_device_counts counts = device->counts;
    pthread_mutex_unlock(&device->lock);
    return counts;
}

enum base_status kern_device_failure(struct kern_device *device, struct base_error *error)
{
    pthread_mutex_lock(&device->lock);
    bool failed = device->out_of_use && !device->options.allow_fallback;
    struct base_error failure = device->failure;
    pthread_mutex_unlock(&device->lock);
    return failed ? base_fail(error, failure.code, "%s", failure.text) : BASE_OK;
}

/* ---- opening ---- */

static enum base_status parse_name(const char *name, int *ret_index, struct base_error *error)
{
    char *end;
    if (strncmp(name, "cuda:", 5) != 0 || name[5] < '0' || name[5] > '9')
        return base_fail(error, BASE_ERR_ARGUMENT, "device '%.40s': no such kind of device: say cuda:0, or cuda:1 for the second one", name);
    long index = strtol(name + 5, &end, 10);
    if (*end != 0 || index > 1023)
        return base_fail(error, BASE_ERR_ARGUMENT, "device '%.40s': after cuda: comes a number, 0 for the first one", name);
    *ret_index = (int)index;
    return BASE_OK;
}

static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static bool open_now;

static bool take_turn(void)
{
    pthread_mutex_lock(&opening);
    bool free_now = !open_now;
    open_now = true;
    pthread_mutex_unlock(&opening);
    return free_now;
}

static void give_turn(void)
{
    pthread_mutex_lock(&opening);
    open_now = false;
    pthread_mutex_unlock(&opening);
}

enum base_status kern_device_open_backend(struct kern_device **ret, const struct kern_backend *backend, int index,
                                          const struct kern_device_options *options, struct base_error *error)
{
    enum base_status status;
    struct kern_device *device = NULL;
    if (!take_turn())
        return base_fail(error, BASE_ERR_ARGUMENT, "device %s:%d: a device is open already: close it first, a process uses one at a time",
                         backend->name, index);
    TRY(base_alloc(&device, 1, sizeof *device, error));
    device->backend = backend;
    device->options = *options;
    if (device->options.cpu == NULL)
        device->options.cpu = kern_table_select(~0u);
    if (device->options.work_bytes == 0)
        device->options.work_bytes = (size_t)1 << 30;
    if (options->crossover != NULL)
        device->crossover = *options->crossover;
    pthread_mutex_init(&device->lock, NULL);
    TRY(backend->open(&device->handle, index, device->options.work_bytes, error));
    kern_device_use(device);
    TRY(kern_device_prepare(device, options->crossover == NULL, error));
    backend->describe(device->handle, device->text, sizeof device->text);
    *ret = device;
    return BASE_OK;
out:
    if (device != NULL)
        kern_device_close(&device);
    else
        give_turn();
    return status;
}

enum base_status kern_device_open(struct kern_device **ret, const char *name, const struct kern_device_options *options,
                                  struct base_error *error)
{
    int index = 0;
    enum base_status status = parse_name(name, &index, error);
    if (status != BASE_OK)
        return status;
    if (kern_cuda_backend() == NULL)
        return base_fail(error, BASE_ERR_SUPPORT, "device '%s': this build has no CUDA: install the CUDA toolkit and build again with "
                         "-Dcuda=enabled, or leave the device out", name);
    return kern_device_open_backend(ret, kern_cuda_backend(), index, options, error);
}

void kern_device_close(struct kern_device **device)
{
    struct kern_device *d = *device;
    if (d == NULL)
        return;
    while (d->placed != NULL) {
        struct kern_placed *first = d->placed;
        kern_device_forget(d, &first);
    }
    while (d->blocks != NULL) {
        void *memory = d->blocks->memory;
        kern_device_host_free(d, &memory);
    }
    if (d->handle != NULL)
        d->backend->close(d->handle);
    kern_device_use(NULL);
    pthread_mutex_destroy(&d->lock);
    base_free(device);
    give_turn();
}

const char *kern_device_text(const struct kern_device *device)
{
    return device->text;
}

const struct kern_crossover *kern_device_crossover(const struct kern_device *device)
{
    return &device->crossover;
}

/* ---- what stays on the device ---- */

enum base_status kern_device_place(struct kern_device *device, struct kern_placed **ret, enum kern_word word, const void *w, size_t w_stride,
                                   size_t outs, size_t inner, bool limbs, struct base_error *error)
{
    enum base_status status;
    struct kern_placed *placed = NULL;
    TRY_THAT(outs > 0 && inner > 0 && w_stride >= inner * kern_word_bytes(word), error, BASE_ERR_ARGUMENT,
             "matrix for the device: %zu rows of %zu elements, %zu bytes apart: rows may not be empty or overlap", outs, inner, w_stride);
    TRY(base_alloc(&placed, 1, sizeof *placed, error));
    placed->matrix = (struct kern_product){.word = word, .w = w, .w_stride = w_stride, .outs = outs, .inner = inner};
    struct base_error failure = {0};
    pthread_mutex_lock(&device->lock);
    status = device->out_of_use ? BASE_OK : device->backend->place(device->handle, &placed->matrix.placed, &placed->matrix, limbs, &failure);
    if (status == BASE_ERR_MEMORY)
        base_fail(error, status, "%s", failure.text);
    else if (status != BASE_OK)
        note_failure(device, &failure);
    if (status != BASE_ERR_MEMORY) { /* a device out of use has no copy, and products run on the CPU */
        placed->next = device->placed;
        device->placed = placed;
        *ret = placed;
    }
    pthread_mutex_unlock(&device->lock);
    if (status != BASE_ERR_MEMORY)
        return BASE_OK;
out:
    base_free(&placed);
    return status;
}

void kern_device_forget(struct kern_device *device, struct kern_placed **placed)
{
    struct kern_placed *it = *placed;
    if (it == NULL)
        return;
    pthread_mutex_lock(&device->lock);
    for (struct kern_placed **at = &device->placed; *at != NULL; at = &(*at)->next)
        if (*at == it) {
            *at = it->next;
            break;
        }
    if (it->matrix.placed != NULL)
        device->backend->forget(device->handle, it->matrix.placed);
    pthread_mutex_unlock(&device->lock);
    base_free(placed);
}

void kern_device_gemm(struct kern_device *device, const struct kern_placed *w, uint64_t *y, size_t y_stride, const void *a, size_t a_stride,
                      size_t rows)
{
    struct kern_product job = w->matrix;
    job.y = y;
    job.y_stride = y_stride;
    job.a = a;
    job.a_stride = a_stride;
    job.rows = rows;
    kern_device_multiply(device, &job, true);
}

enum base_status kern_device_host_alloc(struct kern_device *device, void **ret, size_t bytes, struct base_error *error)
{
    enum base_status status;
    struct host_block *block = NULL;
    TRY(base_alloc(&block, 1, sizeof *block, error));
    pthread_mutex_lock(&device->lock);
    status = device->backend->host_alloc(device->handle, &block->memory, bytes, error);
    if (status == BASE_OK) {
        block->bytes = bytes;
        block->next = device->blocks;
        device->blocks = block;
        *ret = block->memory;
    }
    pthread_mutex_unlock(&device->lock);
    if (status == BASE_OK)
        return BASE_OK;
out:
    base_free(&block);
    return status;
}

void kern_device_host_free(struct kern_device *device, void **memory)
{
    pthread_mutex_lock(&device->lock);
    for (struct host_block **at = &device->blocks; *memory != NULL && *at != NULL; at = &(*at)->next)
        if ((*at)->memory == *memory) {
            struct host_block *block = *at;
            *at = block->next;
            base_wipe(block->memory, block->bytes);
            device->backend->host_free(device->handle, block->memory, block->bytes);
            base_free(&block);
            break;
        }
    pthread_mutex_unlock(&device->lock);
    *memory = NULL;
}

/* ---- gates ---- */

/* Runs `finish` over the full evaluations of keys [first, first + count), one key at a time, on the CPU. */
typedef void (*finish_fn)(const void *job, size_t key, const uint64_t *hot);

static enum base_status gates_on_cpu(const struct kern_device *device, const struct kern_dpf_keys *keys, int side, const uint8_t *root,
                                     size_t first, size_t count, finish_fn finish, const void *job, struct base_error *error)
{
    enum base_status status;
    uint64_t *hot = NULL;
    uint8_t *scratch = NULL;
    TRY(base_alloc(&hot, (size_t)keys->shape.groups << keys->shape.domain_bits, sizeof *hot, error));
    TRY(base_alloc(&scratch, kern_dpf_scratch(&keys->shape), 1, error));
    for (size_t i = 0; i < count; i++) {
        device->options.cpu->dpf_full(keys, side, root, first + i, 1, hot, scratch);
        finish(job, i, hot);
    }
    status = BASE_OK;
out:
    base_free_secret(&hot);
    base_free_secret(&scratch);
    return status;
}

struct grid_job {
    const struct kern_table *cpu;
    const uint64_t *table, *m;
    int h, s, groups;
    uint64_t *out;
};

static void finish_grid(const void *context, size_t key, const uint64_t *hot)
{
    const struct grid_job *job = context;
    for (size_t g = 0; g < (size_t)job->groups; g++)
        job->out[key * (size_t)job->groups + g] = job->cpu->grid_dot(hot + (g << job->h), job->table, job->m[key], job->h, job->s);
}

enum base_status kern_device_gate_grid(struct kern_device *device, const struct kern_dpf_keys *keys, int side, const uint8_t *root,
                                       size_t first, size_t count, const uint64_t *table, const uint64_t *m, int s, uint64_t *out,
                                       struct base_error *error)
{
    struct base_error failure = {0};
    if (kern_device_begin(device, count, 0) &&
        kern_device_end(device, device->backend->gate_grid(device->handle, keys, side, root, first, count, table, m, s, out, &failure), &failure))
        return BASE_OK;
    struct grid_job job = {device->options.cpu, table, m, keys->shape.domain_bits, s, keys->shape.groups, out};
    return gates_on_cpu(device, keys, side, root, first, count, finish_grid, &job, error);
}

struct segment_job {
    const struct kern_table *cpu;
    const uint64_t *const *c;
    const uint64_t *j;
    size_t cells;
    int triples;
    uint64_t *out;
};

static void finish_segment(const void *context, size_t key, const uint64_t *hot)
{
    const struct segment_job *job = context;
    job->cpu->segment_dot(job->out + key * (size_t)job->triples, hot, job->c, job->j[key], job->cells, job->triples);
}

enum base_status kern_device_gate_segment(struct kern_device *device, const struct kern_dpf_keys *keys, int side, const uint8_t *root,
                                          size_t first, size_t count, const uint64_t *const c[3], const uint64_t *j, uint64_t *out,
                                          struct base_error *error)
{
    struct base_error failure = {0};
    if (kern_device_begin(device, count, 0) &&
        kern_device_end(device, device->backend->gate_segment(device->handle, keys, side, root, first, count, c, j, out, &failure), &failure))
        return BASE_OK;
    struct segment_job job = {device->options.cpu, c, j, (size_t)1 << keys->shape.domain_bits, keys->shape.groups / 3, out};
    return gates_on_cpu(device, keys, side, root, first, count, finish_segment, &job, error);
}
