#include "kvcache/store.h"

#include "base/memory.h"

#include <string.h>

static size_t words_per_head(enum mpc_role role, const struct kv_form *form)
{
    return form->capacity * mpc_matrix_stride(role, form->head_dim) +
           form->head_dim * mpc_matrix_stride(role, form->capacity);
}

size_t kv_store_size(enum mpc_role role, struct kv_form form)
{
    return form.kv_heads * (words_per_head(role, &form) * sizeof(uint64_t) + 2 * sizeof(struct mpc_matrix)) +
           form.capacity * sizeof(uint32_t);
}

static void set_used(struct kv_store *store, size_t used)
{
    store->used = used;
    for (size_t h = 0; h < store->form.kv_heads; h++) {
        store->k[h].outs = used;
        store->v[h].inner = used;
    }
}

static void forget(struct kv_store *store)
{
    for (size_t i = 0; i < store->form.capacity; i++)
        store->position[i] = KV_EMPTY;
    set_used(store, 0);
}

enum base_status kv_store_init(struct kv_store *ret, enum mpc_role role, struct kv_form form,
                               struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct kv_store store = {.form = form};
    size_t per_head = words_per_head(role, &form), row = mpc_matrix_stride(role, form.head_dim);
    TRY(base_alloc(&store.k, form.kv_heads, sizeof *store.k, error));
    TRY(base_alloc(&store.v, form.kv_heads, sizeof *store.v, error));
    TRY(base_alloc(&store.position, form.capacity, sizeof *store.position, error));
    store.words = form.kv_heads * per_head;
    TRY(base_alloc(&store.memory, store.words, sizeof *store.memory, error));
    for (size_t h = 0; h < form.kv_heads; h++) {
        uint64_t *at = store.memory + h * per_head;
        store.k[h] = (struct mpc_matrix){.ring = form.ring_k,
                                         .frac = form.frac_k,
                                         .bound = form.bound_k,
                                         .inner = form.head_dim,
                                         .stride = row,
                                         .data = at};
        store.v[h] = (struct mpc_matrix){.ring = form.ring_v,
                                         .frac = form.frac_v,
                                         .bound = form.bound_v,
                                         .outs = form.head_dim,
                                         .stride = mpc_matrix_stride(role, form.capacity),
                                         .data = at + form.capacity * row};
    }
    forget(&store);
    *ret = store;
    return BASE_OK;
out:
    kv_store_finish(&store);
    return status;
}

void kv_store_finish(struct kv_store *store)
{
    base_free(&store->k);
    base_free(&store->v);
    base_free(&store->position);
    base_free_secret(&store->memory);
}

void kv_store_clear(struct kv_store *store)
{
    base_wipe(store->memory, store->words * sizeof *store->memory);
    forget(store);
}

void kv_store_append(struct kv_store *store, struct mpc_party *p, struct mpc_wire k, struct mpc_wire v,
                     size_t first, const uint32_t *slots, size_t n)
{
    const struct kv_form *form = &store->form;
    if (!mpc_failed(p) && (k.ring != form->ring_k || v.ring != form->ring_v || k.frac != form->frac_k ||
                           v.frac != form->frac_v))
        mpc_fail(p, BASE_ERR_INTERNAL, "cache rows of %d and %d bits do not fit a cache of %d and %d bits",
                 k.ring, v.ring, form->ring_k, form->ring_v);
    if (mpc_failed(p))
        return;
    size_t used = store->used;
    for (size_t i = 0; i < n; i++) {
        store->position[slots[i]] = (uint32_t)(first + i);
        used = slots[i] + 1 > used ? slots[i] + 1 : used;
        for (size_t h = 0; h < form->kv_heads; h++) {
            size_t at = (h * n + i) * form->head_dim;
            mpc_matrix_put(p, &store->k[h], slots[i], 0, false, mpc_slice(k, at, form->head_dim));
            mpc_matrix_put(p, &store->v[h], 0, slots[i], true, mpc_slice(v, at, form->head_dim));
        }
    }
    set_used(store, used);
}
