/* What an accelerator's table has beside its slots: products that are waited for together, and gates of which only sums leave the device. */
#include "kernels/device/internal.h"

#include "base/memory.h"

/* ---- products ---- */

/* A copy of the activations, rows without gaps. */
static bool copy_activations(struct kern_held *held, struct kern_product *job)
{
    size_t element = job->word == KERN_WORD_32 ? sizeof(uint32_t) : sizeof(uint64_t), row = job->inner * element, bytes;
    if (!base_size_mul(row, job->rows, &bytes) || bytes > KERN_DEVICE_HELD_BYTES - held->used)
        return false;
    uint8_t *to = held->copies + held->used;
    for (size_t r = 0; r < job->rows; r++)
        memcpy(to + r * row, (const uint8_t *)job->a + r * element * job->a_stride, row);
    job->a = to;
    job->a_stride = job->inner;
    held->used += (bytes + 63) / 64 * 64;
    held->used = held->used < KERN_DEVICE_HELD_BYTES ? held->used : KERN_DEVICE_HELD_BYTES;
    return true;
}

static enum base_status start(struct kern_device *device, const struct kern_product *job, struct base_error *error)
{
    struct kern_held *held = &device->held;
    struct kern_product copy = *job;
    size_t used = held->used;
    if (held->count == KERN_DEVICE_HELD || !copy_activations(held, &copy))
        return BASE_ERR_SUPPORT;
    enum base_status status = device->backend->start(device->handle, &copy, error);
    if (status == BASE_OK) {
        held->job[held->count++] = copy;
        return BASE_OK;
    }
    base_wipe(held->copies + used, held->used - used);
    held->used = used;
    return status;
}

static bool holds(const struct kern_held *held)
{
    return held->on && pthread_equal(held->owner, pthread_self());
}

enum base_status kern_device_hold(struct kern_device *device, const struct kern_product *job, struct base_error *error)
{
    enum base_status status = BASE_ERR_SUPPORT;
    bool first = device->held.count == 0;
    if (holds(&device->held) && job->placed != NULL)
        status = start(device, job, error);
    if (status == BASE_OK)
        return status;
    if (status != BASE_ERR_SUPPORT) /* what is under way is lost with it */
        kern_device_note_failure(device, error);
    kern_device_settle(device);
    if (holds(&device->held) && job->placed != NULL && !first && !device->out_of_use) {
        status = start(device, job, error); /* now that there is room */
        if (status == BASE_OK)
            return status;
        if (status != BASE_ERR_SUPPORT)
            kern_device_note_failure(device, error);
    }
    return BASE_ERR_SUPPORT;
}

void kern_device_settle(struct kern_device *device)
{
    struct kern_held *held = &device->held;
    struct base_error failure = {0};
    if (held->count == 0)
        return;
    enum base_status status = device->backend->finish(device->handle, &failure);
    if (status != BASE_OK && !device->out_of_use)
        kern_device_note_failure(device, &failure);
    for (size_t i = 0; device->out_of_use && i < held->count; i++)
        kern_device_on_cpu(&held->job[i]);
    if (device->out_of_use) {
        device->counts.on_device -= held->count;
        device->counts.on_cpu += held->count;
    }
    base_wipe(held->copies, held->used);
    held->used = held->count = 0;
}

static void hold(void)
{
    struct kern_device *device = kern_device_current();
    if (device == NULL)
        return;
    kern_device_lock(device);
    device->held.on = true;
    device->held.owner = pthread_self();
    pthread_mutex_unlock(&device->lock);
}

static void settle(void)
{
    struct kern_device *device = kern_device_current();
    if (device == NULL)
        return;
    kern_device_lock(device);
    if (holds(&device->held))
        device->held.on = false;
    pthread_mutex_unlock(&device->lock);
}

/* ---- gates ---- */

typedef enum base_status (*sums_fn)(void *device, const struct kern_gate_keys *gate, const struct kern_product *table, int s, uint64_t *out,
                                    struct base_error *error);

static bool sums_done(struct kern_device *device, sums_fn sums, const struct kern_gate_keys *gate, const uint64_t *words, size_t count, int s,
                      uint64_t *out)
{
    struct kern_product table = {.word = KERN_WORD_64, .w = words, .w_stride = count * sizeof *words, .outs = 1, .inner = count};
    struct base_error error = {0};
    const struct kern_placed *placed = kern_device_find(device, &table, &table.first);
    if (placed != NULL && placed->stale.rows == 0)
        table.placed = placed->matrix.placed;
    return kern_device_end(device, sums(device->handle, gate, &table, s, out, &error), &error);
}

static bool begin_gate(const struct kern_gate_keys *gate)
{
    struct kern_device *device = kern_device_current();
    return device != NULL && kern_device_worth_keys(device, &gate->keys->shape, gate->count) && kern_device_begin(device, 1, 0);
}

static bool grid_sums(const struct kern_gate_keys *gate, const uint64_t *table, int s, uint64_t *out)
{
    struct kern_device *device = kern_device_current();
    return begin_gate(gate) && sums_done(device, device->backend->grid_sums, gate, table, (size_t)1 << (gate->keys->shape.domain_bits + s), s, out);
}

static bool segment_sums(const struct kern_gate_keys *gate, const uint64_t *c, int s, uint64_t *out)
{
    struct kern_device *device = kern_device_current();
    return begin_gate(gate) && sums_done(device, device->backend->segment_sums, gate, c, (size_t)6 << gate->keys->shape.domain_bits, s, out);
}

const struct kern_accelerated kern_device_accelerated = {hold, settle, grid_sums, segment_sums};
