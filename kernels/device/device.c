#include "kernels/device/internal.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- failures ---- */

void kern_device_note_failure(struct kern_device *device, const struct base_error *error)
{
    device->out_of_use = true;
    device->failure = *error;
    base_error_prefix(&device->failure, device->options.allow_fallback ? "device: from here on the CPU does its work"
                                                                        : "device: what it worked on is not used");
    if (device->options.report != NULL)
        device->options.report(device->options.context, device->failure.text);
}

void kern_device_lock(struct kern_device *device)
{
    pthread_mutex_lock(&device->lock);
    kern_device_settle(device);
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

bool kern_device_again(struct kern_device *device, enum base_status status)
{
    if (status != BASE_ERR_SUPPORT || !device->held.under_way)
        return false;
    kern_device_settle(device);
    return !device->out_of_use;
}

bool kern_device_left(struct kern_device *device)
{
    device->counts.on_device++;
    pthread_mutex_unlock(&device->lock);
    return true;
}

bool kern_device_end(struct kern_device *device, enum base_status status, const struct base_error *error)
{
    if (status == BASE_OK)
        kern_device_arrived(device);
    if (status != BASE_OK && status != BASE_ERR_SUPPORT) {
        kern_device_note_failure(device, error);
        kern_device_settle(device);
    }
    device->counts.on_device += status == BASE_OK;
    device->counts.on_cpu += status != BASE_OK;
    pthread_mutex_unlock(&device->lock);
    return status == BASE_OK;
}

struct kern_device_counts kern_device_counts(struct kern_device *device)
{
    pthread_mutex_lock(&device->lock);
    struct kern_device_counts counts = device->counts;
    device->backend->count(device->handle, &counts);
    pthread_mutex_unlock(&device->lock);
    return counts;
}

enum base_status kern_device_failure(struct kern_device *device, struct base_error *error)
{
    pthread_mutex_lock(&device->lock); /* what is under way is no result yet */
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
    void *copies = NULL;
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
    TRY(backend->host_alloc(device->handle, &copies, KERN_DEVICE_HELD_BYTES, error));
    device->held.copies = copies;
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
    while (d->placed_count > 0) {
        struct kern_placed *last = d->placed[d->placed_count - 1];
        kern_device_forget(d, &last);
    }
    base_free(&d->placed);
    while (d->blocks != NULL) {
        void *memory = d->blocks->memory;
        kern_device_host_free(d, &memory);
    }
    if (d->held.copies != NULL) { /* overwritten whenever it was used */
        kern_device_lock(d);
        pthread_mutex_unlock(&d->lock);
        d->backend->host_free(d->handle, d->held.copies, KERN_DEVICE_HELD_BYTES);
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
                                   size_t outs, size_t inner, enum kern_placing how, struct base_error *error)
{
    enum base_status status;
    struct kern_placed *placed = NULL;
    TRY_THAT(outs > 0 && inner > 0 && w_stride >= inner * kern_word_bytes(word), error, BASE_ERR_ARGUMENT,
             "matrix for the device: %zu rows of %zu elements, %zu bytes apart: rows may not be empty or overlap", outs, inner, w_stride);
    TRY(base_alloc(&placed, 1, sizeof *placed, error));
    placed->matrix = (struct kern_product){.word = word, .w = w, .w_stride = w_stride, .outs = outs, .inner = inner};
    struct base_error failure = {0};
    kern_device_lock(device);
    status = base_grow(&device->placed, &device->placed_room, device->placed_count + 1, sizeof *device->placed, &failure);
    if (status == BASE_OK)
        status = device->out_of_use ? BASE_OK : device->backend->place(device->handle, &placed->matrix.placed, &placed->matrix, how, &failure);
    if (status == BASE_ERR_MEMORY)
        base_fail(error, status, "%s", failure.text);
    else if (status != BASE_OK)
        kern_device_note_failure(device, &failure);
    if (status != BASE_ERR_MEMORY) { /* a device out of use has no copy, and products run on the CPU */
        kern_device_list(device, placed);
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
    kern_device_lock(device);
    kern_device_fresh(device, it);
    kern_device_unlist(device, it);
    if (it->matrix.placed != NULL)
        device->backend->forget(device->handle, it->matrix.placed);
    pthread_mutex_unlock(&device->lock);
    base_free(placed);
}

void kern_device_gemm(struct kern_device *device, const struct kern_placed *w, uint64_t *y, size_t y_stride, const void *a, size_t a_stride,
                      size_t rows)
{
    struct kern_product job = w->matrix;
    job.placed = NULL; /* found by its address, with what has changed of it */
    job.y = y;
    job.y_stride = y_stride;
    job.a = a;
    job.a_stride = a_stride;
    job.rows = rows;
    kern_device_multiply(device, &job, true);
}

size_t kern_device_placed_bytes(const struct kern_device *device, enum kern_word word, size_t outs, size_t inner, bool limbs)
{
    return device->backend->placed_bytes(word, outs, inner, limbs);
}

enum base_status kern_device_memory(struct kern_device *device, size_t *ret_free, size_t *ret_total, struct base_error *error)
{
    kern_device_lock(device);
    enum base_status status = device->backend->memory(device->handle, ret_free, ret_total, error);
    pthread_mutex_unlock(&device->lock);
    return status;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

void kern_device_fresh(struct kern_device *device, struct kern_placed *placed)
{
    device->stale_count -= placed->stale.rows > 0;
    placed->stale = (struct kern_part){0};
}

void kern_device_changed(struct kern_device *device, struct kern_placed *placed, struct kern_part part)
{
    if (part.rows == 0 || part.columns == 0)
        return;
    pthread_mutex_lock(&device->lock);
    struct kern_part *s = &placed->stale;
    if (s->rows > 0) { /* one part that holds both */
        size_t end = larger(s->row + s->rows, part.row + part.rows), last = larger(s->column + s->columns, part.column + part.columns);
        part.row = smaller(s->row, part.row);
        part.rows = end - part.row;
        part.column = smaller(s->column, part.column);
        part.columns = last - part.column;
    }
    else
        device->stale_count++;
    *s = part;
    placed->written = true;
    pthread_mutex_unlock(&device->lock);
}

void kern_device_wipe(struct kern_device *device, struct kern_placed *placed)
{
    struct base_error failure = {0};
    kern_device_lock(device);
    if (placed->written && placed->matrix.placed != NULL && !device->out_of_use &&
        device->backend->wipe(device->handle, placed->matrix.placed, &failure) != BASE_OK)
        kern_device_note_failure(device, &failure);
    kern_device_fresh(device, placed);
    placed->written = false;
    pthread_mutex_unlock(&device->lock);
}

enum base_status kern_device_host_alloc(struct kern_device *device, void **ret, size_t bytes, struct base_error *error)
{
    enum base_status status;
    struct host_block *block = NULL;
    TRY(base_alloc(&block, 1, sizeof *block, error));
    kern_device_lock(device);
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
    kern_device_lock(device);
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
