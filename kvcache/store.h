/* The store: K and V of one layer as masked matrices, one pair per KV head, in slots.
 *
 * A slot holds one position's row of K and column of V. Positions and slots are public; a policy decides which slot a new position
 * takes, and what a query may attend to. K is kept as [slots][head_dim] and V transposed as [head_dim][slots], so that both the
 * scores and the weighted sum are the same product (mpc/product.h).
 * Memory: P1 and P2 16 bytes per element, P0 and the twin 8. */
#ifndef CACHET_KVCACHE_STORE_H
#define CACHET_KVCACHE_STORE_H

#include "mpc/product.h"

struct kv_form {
    size_t kv_heads;
    size_t head_dim;
    size_t capacity; /* slots */
    int ring_k, frac_k, bound_k;
    int ring_v, frac_v, bound_v;
};

struct kv_store {
    struct kv_form form;
    struct mpc_matrix *k;  /* [kv_heads], outs = used slots */
    struct mpc_matrix *v;  /* [kv_heads], inner = used slots */
    uint32_t *position;    /* [capacity], KV_EMPTY where nothing is stored */
    size_t used;           /* slots below this number are in use */
    uint64_t *memory;
    size_t words; /* of memory */
};

#define KV_EMPTY UINT32_MAX

BASE_MUST_USE enum base_status kv_store_init(struct kv_store *ret, enum mpc_role role, struct kv_form form,
                                             struct base_error *error);
void kv_store_finish(struct kv_store *store);
/* Bytes that kv_store_init will allocate. */
size_t kv_store_size(enum mpc_role role, struct kv_form form);
/* Forgets every row and wipes it. */
void kv_store_clear(struct kv_store *store);

/* Stores n rows: k, v [kv_heads][n][head_dim], row i at position first + i into slots[i]. The types must be the form's. */
void kv_store_append(struct kv_store *store, struct mpc_party *p, struct mpc_wire k, struct mpc_wire v, size_t first,
                     const uint32_t *slots, size_t n);

#endif
