/* The store: K and V of one layer as masked matrices, one pair per KV head, in slots.
 *
 * A slot holds one row of K and one column of V. Slots are public, and so is the position of what was never moved by a
 * secret choice; a row that such a choice kept is KV_KEPT: an earlier row, nobody knows which. K is kept as [slots][head_dim] and V
 * transposed as [head_dim][slots], so that both the scores and the weighted sum are the same product (mpc/product.h).
 * Memory: P1 and P2 16 bytes per element, P0 and the twin 8. */
#ifndef CACHET_KVCACHE_STORE_H
#define CACHET_KVCACHE_STORE_H

#include "kvcache/plan.h"
#include "mpc/placed.h"
#include "mpc/product.h"

struct kv_form {
    size_t kv_heads;
    size_t head_dim;
    size_t capacity; /* slots */
    int ring_k, frac_k, bound_k;
    int ring_v, frac_v, bound_v;
    int moved_v; /* ring that V fits while it is moved: it is extended afterwards. ring_v: none */
};

/* Runs of rows that are ranked and moved together. */
struct kv_units {
    size_t first; /* slot of the first row */
    size_t count;
    size_t rows; /* of a unit */
};

struct kv_store {
    struct kv_form form;
    enum mpc_role role;
    struct mpc_matrix *k;  /* [kv_heads], outs = used slots */
    struct mpc_matrix *v;  /* [kv_heads], inner = used slots */
    uint32_t *position;    /* [capacity]: KV_EMPTY where nothing is stored */
    uint32_t *stamp;       /* [capacity]: another number for what a slot holds with other masks; its position, or a number of its own */
    uint32_t kept;         /* rows so far that got such a number */
    uint8_t *weight;       /* [capacity]: how many rows a row stands for: 1, or a unit's rows for its mean */
    size_t used;           /* slots below this number are in use */
    uint64_t text;         /* how often it was emptied: rows of two texts have nothing to do with each other */
    uint8_t *memory;
    size_t size; /* of memory */
    struct kern_device *device; /* that has copies of k and v; NULL: none */
    struct kern_placed **placed; /* [2 kv_heads]: those of k, those of v */
};

#define KV_EMPTY UINT32_MAX
#define KV_KEPT (UINT32_MAX - 1)

BASE_MUST_USE enum base_status kv_store_init(struct kv_store *ret, enum mpc_role role, struct kv_form form,
                                             struct base_error *error);
/* Accepts a zeroed store. */
void kv_store_finish(struct kv_store *store);
/* Bytes that kv_store_init will allocate. */
size_t kv_store_size(enum mpc_role role, struct kv_form form);
/* Before anything is stored: places k and v on an accelerator, with room for every slot; they follow what changes here. Takes
 * kv_store_placed_bytes of its memory. Errors: those of kern_device_place. */
BASE_MUST_USE enum base_status kv_store_place(struct kv_store *store, struct kern_device *device, struct base_error *error);
/* The copies go; accepts a store without any. */
void kv_store_unplace(struct kv_store *store);
size_t kv_store_placed_bytes(const struct kv_store *store, const struct kern_device *device);
/* Forgets every row and wipes it, on the accelerator, too. */
void kv_store_clear(struct kv_store *store);
/* Slots from `used` on are free. */
void kv_store_set_used(struct kv_store *store, size_t used);

/* What K (MPC_KEYS) or V (MPC_VALUES) of all heads is, for products of two parties; copies: heads of Q to each. */
struct mpc_identity kv_store_identity(const struct kv_store *store, enum mpc_lasting lasting, size_t copies);

/* Stores n rows: k, v [kv_heads][n][head_dim], row i at position first + i (KV_KEPT: as it is) into slots[i]. The types must be the
 * form's; if the store has more heads than the rows, each head's row is stored `repeat` times. */
void kv_store_append(struct kv_store *store, struct mpc_party *p, struct mpc_wire k, struct mpc_wire v, size_t first,
                     const uint32_t *slots, size_t n);

/* Copies a row of another store (or of this one) into a slot; if this one has more heads, each head's row goes to its whole group. */
void kv_store_copy(struct kv_store *to, size_t to_slot, const struct kv_store *from, size_t slot);

/* Units of `unit` rows from slot `first` on, of one head, as a matrix [unit * head_dim][units] in the work area (K or V), in Z_2^ring:
 * what one-hot rows [kept][units] are multiplied by. `sum`: the sum of each unit's rows, [head_dim][units]. */
struct mpc_matrix kv_store_units(const struct kv_store *store, struct mpc_party *p, size_t head, bool values, struct kv_units units,
                                 int ring, bool sum);
/* The sums of each unit's keys, and of those of the `before` rows before it (as far as the units go), as rows to be scored:
 * [units][head_dim] in Z_2^ring. */
struct mpc_matrix kv_store_key_sums(const struct kv_store *store, struct mpc_party *p, size_t head, struct kv_units units, size_t before,
                                    int ring);
/* A zeroed matrix in the work area; without data in the count role. */
struct mpc_matrix kv_matrix_make(struct mpc_party *p, size_t outs, size_t inner, int ring, int frac, int bound);

/* The slots whose rows the row at `query` sees under a span, in slot order, into ret_slots (room for store->used); their number. */
size_t kv_store_visible(const struct kv_store *store, struct kv_span span, size_t query, uint32_t *ret_slots);

#endif
