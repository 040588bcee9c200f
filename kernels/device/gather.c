/* What an accelerator's table has beside its slots: work that stays under way and is waited for together, gates of which only sums leave the device,
 * and what it does while its party waits for the network. */
#include "kernels/device/internal.h"

#include "base/memory.h"

/* ---- what is under way ---- */

static bool holds(const struct kern_held *held)
{
    return held->depth > 0 && pthread_equal(held->owner, pthread_self());
}

/* Room for inputs until what is under way has arrived. NULL: there is none. */
static void *room_for(struct kern_held *held, size_t bytes)
{
    if (bytes > KERN_DEVICE_HELD_BYTES - held->used)
        return NULL;
    uint8_t *room = held->copies + held->used;
    size_t end = (held->used + bytes + 63) / 64 * 64;
    held->used = end < KERN_DEVICE_HELD_BYTES ? end : KERN_DEVICE_HELD_BYTES;
    return room;
}

static void *copy_of(struct kern_held *held, const void *from, size_t bytes)
{
    void *to = room_for(held, bytes);
    if (to != NULL)
        memcpy(to, from, bytes);
    return to;
}

static enum base_status try_job(struct kern_device *device, const struct kern_job *job, struct base_error *error)
{
    struct kern_held *held = &device->held;
    size_t used = held->used;
    enum base_status status = BASE_ERR_SUPPORT;
    if (held->count == KERN_DEVICE_HELD)
        return status;
    struct kern_job *mine = &held->job[held->count];
    *mine = *job;
    if (mine->kind->copy(held, mine))
        status = mine->kind->start(device, mine, error);
    if (status == BASE_OK) {
        held->count++;
        held->started++;
        held->under_way = true;
        return status;
    }
    base_wipe(mine, sizeof *mine);
    base_wipe(held->copies + used, held->used - used);
    held->used = used;
    return status;
}

enum base_status kern_device_start(struct kern_device *device, const struct kern_job *job, struct base_error *error)
{
    if (!holds(&device->held))
        return BASE_ERR_SUPPORT;
    enum base_status status = try_job(device, job, error);
    if (status == BASE_ERR_SUPPORT && device->held.under_way) {
        kern_device_settle(device);
        if (!device->out_of_use)
            status = try_job(device, job, error); /* now that there is room */
    }
    if (status == BASE_OK || status == BASE_ERR_SUPPORT)
        return status;
    kern_device_note_failure(device, error);
    kern_device_settle(device); /* what is under way is lost with it */
    return BASE_ERR_SUPPORT;
}

void kern_device_arrived(struct kern_device *device)
{
    struct kern_held *held = &device->held;
    base_wipe(held->copies, held->used);
    base_wipe(held->job, held->count * sizeof *held->job);
    held->used = held->count = 0;
    held->under_way = false;
}

void kern_device_settle(struct kern_device *device)
{
    struct kern_held *held = &device->held;
    struct base_error failure = {0};
    if (!held->under_way)
        return;
    if (!device->out_of_use && device->backend->finish(device->handle, &failure) != BASE_OK)
        kern_device_note_failure(device, &failure);
    for (size_t i = 0; device->out_of_use && i < held->count; i++)
        held->job[i].kind->on_cpu(&held->job[i]);
    if (device->out_of_use) {
        device->counts.on_device -= held->count;
        device->counts.on_cpu += held->count;
    }
    kern_device_arrived(device);
}

static void hold(void)
{
    struct kern_device *device = kern_device_current();
    if (device == NULL)
        return;
    pthread_mutex_lock(&device->lock);
    struct kern_held *held = &device->held;
    if (!holds(held)) {
        if (held->count > 0) /* another thread's; uploads alone wait for what reads them */
            kern_device_settle(device);
        held->depth = 0;
        held->owner = pthread_self();
    }
    if (held->depth < KERN_DEVICE_HOLDS)
        held->mark[held->depth] = held->started;
    held->depth++;
    pthread_mutex_unlock(&device->lock);
}

static void settle(void)
{
    struct kern_device *device = kern_device_current();
    if (device == NULL)
        return;
    pthread_mutex_lock(&device->lock);
    struct kern_held *held = &device->held;
    if (holds(held)) {
        held->depth--;
        if (held->count > 0 && (held->depth >= KERN_DEVICE_HOLDS || held->started != held->mark[held->depth]))
            kern_device_settle(device);
    }
    pthread_mutex_unlock(&device->lock);
}

/* ---- products ---- */

static bool copy_product(struct kern_held *held, struct kern_job *job)
{
    struct kern_product *p = &job->product;
    size_t element = p->word == KERN_WORD_32 ? sizeof(uint32_t) : sizeof(uint64_t), row = p->inner * element, bytes;
    uint8_t *to = base_size_mul(row, p->rows, &bytes) ? room_for(held, bytes) : NULL;
    for (size_t r = 0; to != NULL && r < p->rows; r++)
        memcpy(to + r * row, (const uint8_t *)p->a + r * element * p->a_stride, row);
    p->a = to;
    p->a_stride = p->inner;
    return to != NULL;
}

static enum base_status start_product(struct kern_device *device, const struct kern_job *job, struct base_error *error)
{
    return device->backend->start(device->handle, &job->product, error);
}

static void product_on_cpu(const struct kern_job *job)
{
    kern_device_on_cpu(&job->product);
}

const struct kern_job_kind kern_device_product = {copy_product, start_product, product_on_cpu};

/* ---- keystreams ---- */

static bool copy_nothing(struct kern_held *held, struct kern_job *job)
{
    (void)held;
    (void)job;
    return true;
}

static enum base_status start_words(struct kern_device *device, const struct kern_job *job, struct base_error *error)
{
    const struct kern_words_job *w = &job->words;
    return device->backend->prg(device->handle, &w->key, w->counter, 0, (uint8_t *)w->out, 8 * w->count, kern_ring_mask(w->ring), true, error);
}

static void words_on_cpu(const struct kern_job *job)
{
    const struct kern_words_job *w = &job->words;
    kern_device_cpu()->prg_words(&w->key, w->counter, w->out, w->count, w->ring);
}

static const struct kern_job_kind words_kind = {copy_nothing, start_words, words_on_cpu};

/* Whether a job of a family was started: what was not is a call of its slot. */
static bool started(struct kern_device *device, enum kern_device_family family, size_t size, const struct kern_job *job)
{
    struct base_error error = {0};
    if (device == NULL || size == 0)
        return false;
    pthread_mutex_lock(&device->lock);
    size_t from = device->crossover.family[family];
    bool done = !device->out_of_use && from != SIZE_MAX && size >= from && kern_device_start(device, job, &error) == BASE_OK;
    device->counts.on_device += done;
    pthread_mutex_unlock(&device->lock);
    return done;
}

static bool words_later(const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring)
{
    struct kern_device *device = kern_device_current();
    struct kern_job job = {.kind = &words_kind, .words = {*key, counter, out, count, ring}};
    bool done = started(device, KERN_DEVICE_PRG, 8 * count, &job);
    base_wipe(&job, sizeof job);
    return done;
}

/* ---- wire words ---- */

static bool copy_words(struct kern_held *held, struct kern_job *job)
{
    return (job->wire.in = copy_of(held, job->wire.in, 8 * job->wire.count)) != NULL;
}

static enum base_status start_pack(struct kern_device *device, const struct kern_job *job, struct base_error *error)
{
    const struct kern_wire_job *w = &job->wire;
    return device->backend->pack_bits(device->handle, w->out, w->in, w->count, w->ring, true, error);
}

static void pack_on_cpu(const struct kern_job *job)
{
    kern_device_cpu()->pack_bits(job->wire.out, job->wire.in, job->wire.count, job->wire.ring);
}

static const struct kern_job_kind pack_kind = {copy_words, start_pack, pack_on_cpu};

static bool copy_packed(struct kern_held *held, struct kern_job *job)
{
    return (job->wire.in = copy_of(held, job->wire.in, (job->wire.count * (size_t)job->wire.ring + 7) / 8)) != NULL;
}

static enum base_status start_unpack(struct kern_device *device, const struct kern_job *job, struct base_error *error)
{
    const struct kern_wire_job *w = &job->wire;
    return device->backend->unpack(device->handle, w->out, w->in, w->count, w->ring, true, true, error);
}

static void unpack_on_cpu(const struct kern_job *job)
{
    kern_device_cpu()->unpack_add(job->wire.out, job->wire.in, job->wire.count, job->wire.ring);
}

static const struct kern_job_kind unpack_kind = {copy_packed, start_unpack, unpack_on_cpu};

static bool pack_later(uint8_t *out, const uint64_t *in, size_t count, int ring)
{
    return count <= KERN_DEVICE_CHUNK && started(kern_device_current(), KERN_DEVICE_ELEMENTWISE, count,
                                                 &(struct kern_job){.kind = &pack_kind, .wire = {out, in, count, ring}});
}

static bool unpack_add_later(uint64_t *out, const uint8_t *in, size_t count, int ring)
{
    return count <= KERN_DEVICE_CHUNK && started(kern_device_current(), KERN_DEVICE_ELEMENTWISE, count,
                                                 &(struct kern_job){.kind = &unpack_kind, .wire = {out, in, count, ring}});
}

/* ---- values of DCF keys ---- */

static bool copy_dcf(struct kern_held *held, struct kern_job *job)
{
    struct kern_dcf_job *d = &job->dcf;
    size_t n = d->keys.count, levels = (size_t)d->keys.shape.domain_bits;
    return (d->keys.seed_words = copy_of(held, d->keys.seed_words, 16 * n * levels)) != NULL &&
           (d->keys.bit_words = copy_of(held, d->keys.bit_words, n * kern_bit_words_size((int)levels))) != NULL &&
           (d->keys.value_words = copy_of(held, d->keys.value_words, 8 * (size_t)d->keys.shape.groups * n * (levels + 1))) != NULL &&
           (d->root = copy_of(held, d->root, 16 * n)) != NULL && (d->x = copy_of(held, d->x, 8 * n * d->points)) != NULL;
}

static enum base_status start_dcf(struct kern_device *device, const struct kern_job *job, struct base_error *error)
{
    const struct kern_dcf_job *d = &job->dcf;
    return device->backend->dcf_eval(device->handle, &d->keys, d->side, d->root, d->x, d->points, d->out, true, error);
}

static void dcf_on_cpu(const struct kern_job *job)
{
    const struct kern_dcf_job *d = &job->dcf;
    kern_device_cpu()->dcf_eval(&d->keys, d->side, d->root, d->x, d->points, d->out);
}

static const struct kern_job_kind dcf_kind = {copy_dcf, start_dcf, dcf_on_cpu};

static bool dcf_later(const struct kern_dcf_keys *keys, int side, const uint8_t *root, const uint64_t *x, size_t points, uint64_t *out)
{
    struct kern_device *device = kern_device_current();
    return started(device, KERN_DEVICE_FSS, kern_device_dcf_size(keys, points),
                   &(struct kern_job){.kind = &dcf_kind, .dcf = {*keys, side, root, x, points, out}});
}

/* ---- gates ---- */

/* Keys [first, first + count) alone. */
static bool copy_sums(struct kern_held *held, struct kern_job *job)
{
    struct kern_sums_job *s = &job->sums;
    const struct kern_dpf_keys *from = s->gate.keys;
    size_t n = s->gate.count, first = s->gate.first, copies = (size_t)1 << from->shape.nu, levels = (size_t)(from->shape.domain_bits - from->shape.nu);
    size_t bits = kern_bit_words_size((int)levels), groups = (size_t)from->shape.groups;
    uint8_t *seeds = copy_of(held, from->seed_words + 16 * first * levels, 16 * n * levels);
    uint8_t *bit_words = copy_of(held, from->bit_words + first * bits, n * bits);
    uint64_t *finals = room_for(held, 8 * groups * n * copies);
    for (size_t g = 0; finals != NULL && g < groups; g++)
        memcpy(finals + g * n * copies, from->final_words + (g * from->count + first) * copies, 8 * n * copies);
    s->keys = (struct kern_dpf_keys){from->shape, n, seeds, bit_words, finals};
    s->gate.root = copy_of(held, s->gate.root + 16 * first, 16 * n);
    s->gate.m = copy_of(held, s->gate.m, 8 * n);
    s->gate.first = 0;
    s->gate.keys = &s->keys;
    return seeds != NULL && bit_words != NULL && finals != NULL && s->gate.root != NULL && s->gate.m != NULL;
}

typedef enum base_status (*sums_fn)(void *device, const struct kern_gate_keys *gate, const struct kern_product *table, int s, uint64_t *out, bool later,
                                    struct base_error *error);

static enum base_status call_sums(struct kern_device *device, const struct kern_sums_job *s, bool later, struct base_error *error)
{
    struct kern_product table = {.word = KERN_WORD_64, .w = s->table, .w_stride = s->words * sizeof *s->table, .outs = 1, .inner = s->words};
    const struct kern_placed *placed = kern_device_find(device, &table, &table.first);
    if (placed != NULL && placed->stale.rows == 0)
        table.placed = placed->matrix.placed;
    sums_fn sums = s->segments ? device->backend->segment_sums : device->backend->grid_sums;
    return sums(device->handle, &s->gate, &table, s->s, s->out, later, error);
}

static enum base_status start_sums(struct kern_device *device, const struct kern_job *job, struct base_error *error)
{
    return call_sums(device, &job->sums, true, error);
}

static void sums_on_cpu(const struct kern_job *job)
{
    const struct kern_sums_job *s = &job->sums;
    (s->segments ? kern_segment_sums : kern_grid_sums)(kern_device_cpu(), &s->gate, s->table, s->s, s->out, &s->room);
}

static const struct kern_job_kind sums_kind = {copy_sums, start_sums, sums_on_cpu};

static bool sums_done(const struct kern_sums_job *sums)
{
    struct kern_device *device = kern_device_current();
    struct base_error error = {0};
    if (device == NULL || !kern_device_worth_keys(device, &sums->gate.keys->shape, sums->gate.count) || !kern_device_begin(device, 1, 0))
        return false;
    enum base_status status = kern_device_start(device, &(struct kern_job){.kind = &sums_kind, .sums = *sums}, &error);
    if (status == BASE_OK)
        return kern_device_left(device);
    if (!device->out_of_use)
        do
            status = call_sums(device, sums, false, &error);
        while (kern_device_again(device, status));
    return kern_device_end(device, status, &error);
}

static bool grid_sums(const struct kern_gate_keys *gate, const uint64_t *table, int s, uint64_t *out, const struct kern_gate_room *room)
{
    size_t words = (size_t)1 << (gate->keys->shape.domain_bits + s);
    return sums_done(&(struct kern_sums_job){.gate = *gate, .table = table, .words = words, .s = s, .out = out, .room = *room});
}

static bool segment_sums(const struct kern_gate_keys *gate, const uint64_t *c, int s, uint64_t *out, const struct kern_gate_room *room)
{
    size_t words = (size_t)6 << gate->keys->shape.domain_bits;
    return sums_done(&(struct kern_sums_job){.gate = *gate, .table = c, .words = words, .s = s, .out = out, .room = *room, .segments = true});
}

/* ---- while the party waits for the network ---- */

static void bring(void)
{
    struct kern_device *device = kern_device_current();
    if (device == NULL || device->stale_count == 0)
        return;
    pthread_mutex_lock(&device->lock);
    for (size_t i = 0; i < device->placed_count && device->stale_count > 0 && !device->out_of_use; i++) {
        struct kern_placed *placed = device->placed[i];
        struct base_error error = {0};
        struct kern_product job = placed->matrix;
        if (placed->stale.rows == 0 || job.placed == NULL)
            continue;
        job.host = job.w;
        job.stale = placed->stale;
        enum base_status status = device->backend->bring(device->handle, &job, &error);
        if (status == BASE_ERR_SUPPORT)
            break; /* it goes along with its product */
        device->held.under_way = true;
        if (status == BASE_OK) {
            kern_device_fresh(device, placed);
            continue;
        }
        kern_device_note_failure(device, &error);
        kern_device_settle(device);
    }
    pthread_mutex_unlock(&device->lock);
}

const struct kern_accelerated kern_device_accelerated = {hold, settle, bring, grid_sums, segment_sums, dcf_later, words_later, pack_later, unpack_add_later};
