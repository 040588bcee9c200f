#include "kvcache/store.h"

#include "base/bits.h"
#include "base/memory.h"

#include <string.h>

enum { ALIGNMENT = 64 };
/* Above every position. */
#define KEPT_STAMPS (UINT32_MAX / 2)

static size_t bytes_of_k(enum mpc_role role, const struct kv_form *form)
{
    return base_whole_units(form->capacity * mpc_matrix_stride(role, form->ring_k, form->head_dim), ALIGNMENT);
}

static size_t bytes_per_head(enum mpc_role role, const struct kv_form *form)
{
    return bytes_of_k(role, form) + base_whole_units(form->head_dim * mpc_matrix_stride(role, form->ring_v, form->capacity), ALIGNMENT);
}

size_t kv_store_size(enum mpc_role role, struct kv_form form)
{
    return form.kv_heads * (bytes_per_head(role, &form) + 2 * sizeof(struct mpc_matrix)) +
           form.capacity * (2 * sizeof(uint32_t) + 1);
}

void kv_store_set_used(struct kv_store *store, size_t used)
{
    store->text += used == 0;
    for (size_t slot = used; slot < store->used; slot++)
        store->position[slot] = KV_EMPTY;
    store->used = used;
    for (size_t h = 0; h < store->form.kv_heads; h++) {
        store->k[h].outs = used;
        store->v[h].inner = used;
    }
}

static void forget(struct kv_store *store)
{
    for (size_t i = 0; i < store->form.capacity; i++) {
        store->position[i] = KV_EMPTY;
        store->weight[i] = 1;
    }
    kv_store_set_used(store, 0);
}

enum base_status kv_store_init(struct kv_store *ret, enum mpc_role role, struct kv_form form,
                               struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct kv_store store = {.form = form, .role = role};
    size_t per_head = bytes_per_head(role, &form);
    TRY(base_alloc(&store.k, form.kv_heads, sizeof *store.k, error));
    TRY(base_alloc(&store.v, form.kv_heads, sizeof *store.v, error));
    TRY(base_alloc(&store.position, form.capacity, sizeof *store.position, error));
    TRY(base_alloc(&store.stamp, form.capacity, sizeof *store.stamp, error));
    TRY(base_alloc(&store.weight, form.capacity, sizeof *store.weight, error));
    store.size = form.kv_heads * per_head;
    TRY(base_alloc(&store.memory, store.size, 1, error));
    for (size_t h = 0; h < form.kv_heads; h++) {
        uint8_t *at = store.memory + h * per_head;
        store.k[h] = (struct mpc_matrix){.ring = form.ring_k,
                                         .frac = form.frac_k,
                                         .bound = form.bound_k,
                                         .inner = form.head_dim,
                                         .stride = mpc_matrix_stride(role, form.ring_k, form.head_dim),
                                         .data = at};
        store.v[h] = (struct mpc_matrix){.ring = form.ring_v,
                                         .frac = form.frac_v,
                                         .bound = form.bound_v,
                                         .outs = form.head_dim,
                                         .stride = mpc_matrix_stride(role, form.ring_v, form.capacity),
                                         .data = at + bytes_of_k(role, &form)};
    }
    forget(&store);
    *ret = store;
    return BASE_OK;
out:
    kv_store_finish(&store);
    return status;
}

size_t kv_store_placed_bytes(const struct kv_store *store, const struct kern_device *device)
{
    const struct kv_form *form = &store->form;
    return form->kv_heads * (mpc_placed_bytes(device, store->role, form->ring_k, form->capacity, form->head_dim, false) +
                             mpc_placed_bytes(device, store->role, form->ring_v, form->head_dim, form->capacity, false));
}

enum base_status kv_store_place(struct kv_store *store, struct kern_device *device, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct kv_form *form = &store->form;
    TRY(base_alloc(&store->placed, 2 * form->kv_heads, sizeof *store->placed, error));
    store->device = device;
    for (size_t h = 0; h < form->kv_heads; h++) {
        TRY(mpc_place(device, &store->placed[h], store->role, &store->k[h], form->capacity, form->head_dim, KERN_PLACE_ZEROS, error));
        TRY(mpc_place(device, &store->placed[form->kv_heads + h], store->role, &store->v[h], form->head_dim, form->capacity, KERN_PLACE_ZEROS, error));
    }
out:
    return status;
}

void kv_store_unplace(struct kv_store *store)
{
    for (size_t i = 0; store->placed != NULL && i < 2 * store->form.kv_heads; i++)
        kern_device_forget(store->device, &store->placed[i]);
    base_free(&store->placed);
    store->device = NULL;
}

/* The row of a slot has changed in a head. */
static void tell_device(struct kv_store *store, size_t head, size_t slot)
{
    const struct kv_form *form = &store->form;
    if (store->placed == NULL)
        return;
    mpc_placed_changed(store->device, store->placed[head], store->role, (struct kern_part){slot, 1, 0, form->head_dim});
    mpc_placed_changed(store->device, store->placed[form->kv_heads + head], store->role, (struct kern_part){0, form->head_dim, slot, 1});
}

void kv_store_finish(struct kv_store *store)
{
    kv_store_unplace(store);
    base_free(&store->k);
    base_free(&store->v);
    base_free(&store->position);
    base_free(&store->stamp);
    base_free(&store->weight);
    base_free_secret(&store->memory);
}

void kv_store_clear(struct kv_store *store)
{
    base_wipe(store->memory, store->size);
    for (size_t i = 0; store->placed != NULL && i < 2 * store->form.kv_heads; i++)
        if (store->placed[i] != NULL)
            kern_device_wipe(store->device, store->placed[i]);
    forget(store);
}

struct mpc_identity kv_store_identity(const struct kv_store *store, enum mpc_lasting lasting, size_t copies)
{
    return (struct mpc_identity){.lasting = lasting, .of = lasting == MPC_KEYS ? store->k : store->v, .text = store->text, .stamp = store->stamp,
                                 .room = store->form.capacity, .copies = copies};
}

/* A row that a choice kept has masks of its own each time, whatever the slot held. */
static void mark(struct kv_store *store, size_t slot, uint32_t position)
{
    store->position[slot] = position;
    store->stamp[slot] = position == KV_KEPT ? KEPT_STAMPS + store->kept++ : position;
    store->weight[slot] = 1;
    if (slot + 1 > store->used)
        kv_store_set_used(store, slot + 1);
}

void kv_store_append(struct kv_store *store, struct mpc_party *p, struct mpc_wire k, struct mpc_wire v,
                     size_t first, const uint32_t *slots, size_t n)
{
    const struct kv_form *form = &store->form;
    if (!mpc_failed(p) && (k.ring != form->ring_k || v.ring != form->ring_v || k.frac != form->frac_k ||
                           v.frac != form->frac_v))
        mpc_fail(p, BASE_ERR_INTERNAL, "cache rows of %d and %d bits do not fit a cache of %d and %d bits",
                 k.ring, v.ring, form->ring_k, form->ring_v);
    for (size_t i = 0; !mpc_failed(p) && i < n; i++)
        if (slots[i] >= form->capacity)
            mpc_fail(p, BASE_ERR_INTERNAL, "slot %u of a cache of %zu", slots[i], form->capacity);
    if (mpc_failed(p))
        return;
    size_t group = form->kv_heads * n * form->head_dim / k.count;
    for (size_t i = 0; i < n; i++) {
        mark(store, slots[i], first == KV_KEPT ? KV_KEPT : (uint32_t)(first + i));
        for (size_t h = 0; h < form->kv_heads; h++) {
            size_t at = (h / group * n + i) * form->head_dim;
            mpc_matrix_put(p, &store->k[h], slots[i], 0, false, mpc_slice(k, at, form->head_dim));
            mpc_matrix_put(p, &store->v[h], 0, slots[i], true, mpc_slice(v, at, form->head_dim));
            tell_device(store, h, slots[i]);
        }
    }
}

void kv_store_copy(struct kv_store *to, size_t to_slot, const struct kv_store *from, size_t slot)
{
    size_t group = to->form.kv_heads / from->form.kv_heads;
    uint8_t weight = from->weight[slot];
    mark(to, to_slot, from->position[slot]);
    to->weight[to_slot] = weight;
    for (size_t h = 0; h < to->form.kv_heads; h++) {
        for (size_t c = 0; c < to->form.head_dim; c++) {
            mpc_matrix_copy(to->role, &to->k[h], to_slot, c, &from->k[h / group], slot, c, false);
            mpc_matrix_copy(to->role, &to->v[h], c, to_slot, &from->v[h / group], c, slot, false);
        }
        tell_device(to, h, to_slot);
    }
}

struct mpc_matrix kv_matrix_make(struct mpc_party *p, size_t outs, size_t inner, int ring, int frac,
                                 int bound)
{
    struct mpc_matrix matrix = {.ring = ring,
                                .frac = frac,
                                .bound = bound,
                                .outs = outs,
                                .inner = inner,
                                .stride = mpc_matrix_stride(p->role, ring, inner)};
    if (p->role == MPC_COUNT)
        return matrix;
    matrix.data = mpc_bytes(p, outs * matrix.stride);
    if (matrix.data != NULL)
        memset(matrix.data, 0, outs * matrix.stride);
    return matrix;
}

struct mpc_matrix kv_store_units(const struct kv_store *store, struct mpc_party *p, size_t head, bool values,
                                 struct kv_units units, int ring, bool sum)
{
    size_t dim = store->form.head_dim;
    const struct mpc_matrix *from = values ? &store->v[head] : &store->k[head];
    struct mpc_matrix ret =
        kv_matrix_make(p, (sum ? 1 : units.rows) * dim, units.count, ring, from->frac, from->bound);
    for (size_t u = 0; !mpc_failed(p) && p->role != MPC_COUNT && u < units.count; u++)
        for (size_t i = 0; i < units.rows; i++)
            for (size_t c = 0; c < dim; c++) {
                size_t slot = units.first + u * units.rows + i;
                mpc_matrix_copy(p->role, &ret, (sum ? 0 : i * dim) + c, u, from, values ? c : slot,
                                values ? slot : c, sum);
            }
    return ret;
}

struct mpc_matrix kv_store_key_sums(const struct kv_store *store, struct mpc_party *p, size_t head,
                                    struct kv_units units, size_t before, int ring)
{
    size_t dim = store->form.head_dim;
    const struct mpc_matrix *from = &store->k[head];
    struct mpc_matrix ret = kv_matrix_make(p, units.count, dim, ring, from->frac, from->bound);
    for (size_t u = 0; !mpc_failed(p) && p->role != MPC_COUNT && u < units.count; u++) {
        size_t end = (u + 1) * units.rows, start = u * units.rows;
        for (size_t i = start < before ? 0 : start - before; i < end; i++)
            for (size_t c = 0; c < dim; c++)
                mpc_matrix_copy(p->role, &ret, u, c, from, units.first + i, c, true);
    }
    return ret;
}

size_t kv_store_visible(const struct kv_store *store, struct kv_span span, size_t query, uint32_t *ret_slots)
{
    size_t count = 0;
    for (size_t slot = 0; slot < store->used; slot++) {
        uint32_t key = store->position[slot];
        bool sees = key == KV_KEPT || (key != KV_EMPTY && key <= query &&
                                       (span.window == 0 || key < span.sinks || query - key < span.window));
        if (sees)
            ret_slots[count++] = (uint32_t)slot;
    }
    return count;
}
