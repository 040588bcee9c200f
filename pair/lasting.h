/* Masks of matrices that stay, encrypted once (pair/rlwe.h): a model's weights, and K and V of a text as it grows. Private to pair/.
 *
 * A part is a set of columns whose answers share a first half. Both parties hold the same parts for either owner: where P1's masks are encrypted,
 * P2 has their coefficients, and the other way round.
 *
 * | kind    | columns                                | coefficients of a column                            | a new row takes              |
 * |---------|----------------------------------------|-----------------------------------------------------|------------------------------|
 * | weights | inner                                  | outs, 8192 to a part                                | nothing is new               |
 * | K       | (head, inner) of a group of heads      | (slot, head): zeros, encrypted, for other heads     | the next coefficients        |
 * | V       | (slot, head) of a group of heads       | (head, outs): the same                              | columns of new seed numbers  |
 *
 * Heads share a part because a first half is 77 kB (44 kB) and their zeros are less. Where heads of Q share a head of K and V, this may be encrypted once for
 * each of them, so that they share a first half, too. A slot whose stamp differs from the one that is encrypted holds
 * other masks: K takes coefficients that were never used, V new numbers; nothing is encrypted twice under one (number, coefficient). When the
 * coefficients of K's columns are used up, a further set of columns begins; a set that no slot reads any more goes. All of this is public. */
#ifndef CACHET_PAIR_LASTING_H
#define CACHET_PAIR_LASTING_H

#include "mpc/maker.h"
#include "pair/rlwe.h"

/* Keys of one parameter set; none in the count role. */
struct pair_keys {
    struct pair_rlwe *rlwe; /* in locked memory */
    bool started;
};

struct pair_part {
    size_t heads, rows; /* heads: of the group; rows: coefficients in use. 0: nothing is to be answered */
    struct pair_rlwe_columns columns[3];
    struct pair_rlwe_rows view[3]; /* by owner; the body belongs to it at the evaluator */
    uint64_t *number[3];           /* V: [slots][heads] */
    size_t number_room[3], body_room[3];
};

struct pair_lasting {
    struct pair_lasting *next;
    struct mpc_identity which; /* its stamps are not kept */
    int ring;                  /* of the first product */
    bool narrow;               /* under keys for rings up to 32 */
    bool encrypts;             /* or its products are made by Gilboa */
    bool noted;                /* a product of the batch that waits reads it */
    size_t heads, outs, inner; /* outs of weights and V, inner of weights and K; heads with the copies */
    size_t copies;             /* heads in a row that hold the same */
    size_t group, groups;      /* heads that share a part; such groups */
    struct pair_part *part;    /* weights [parts]; K [sets][groups]; V [groups] */
    size_t parts, part_room;
    uint32_t *stamp;           /* [room]: what is encrypted for a slot */
    uint32_t *set, *place;     /* [room]: K: where */
    size_t set_slots, last_slots; /* K: slots of a set, and of the last one so far */
};

/* Matrices that live equally long, and their keys. */
struct pair_store {
    struct pair_keys keys[2]; /* [narrow] */
    struct pair_lasting *first; /* in the order in which they were met */
    /* Of weights: all are there, and no other may come. The id of the session in which both parties made them: equal ids, matching halves. */
    bool complete;
    uint8_t id[PAIR_SESSION];
};

/* The first head of a part of K or V. */
static inline size_t pair_first_head(const struct pair_lasting *l, size_t part)
{
    return part % l->groups * l->group;
}

static inline const struct pair_rlwe_params *pair_store_params(bool narrow)
{
    return narrow ? &pair_rlwe_32 : &pair_rlwe_64;
}

/* Wipes and forgets the matrices; all of it. */
void pair_store_drop(struct pair_store *store);
void pair_store_finish(struct pair_store *store);
/* Whether each of its matrices is known by the address that it has here: those of a file are not, until they are found. */
bool pair_store_is_met(const struct pair_store *store);

/* Whether products of the batch that waits read what this one would change: it must be made before. */
bool pair_lasting_waits(const struct pair_store *store, const struct mpc_product_form *form);
/* The matrix of a product, made without content where it is new; one of another text is dropped before. Errors: BASE_ERR_MEMORY, BASE_ERR_INTERNAL (another
 * extent than before; a product of a dropped text still waits). */
BASE_MUST_USE enum base_status pair_lasting_find(struct pair_store *store, const struct mpc_product_form *form, struct pair_lasting **ret,
                                                 struct base_error *error);
/* A further part with columns of its own, `columns` and room for `rows` coefficients; V: without columns. p NULL: the count role. */
BASE_MUST_USE enum base_status pair_lasting_add(struct pair_lasting *l, struct pair_keys *keys, const struct pair_party *p, struct pair_part part, size_t columns,
                                                size_t rows, struct base_error *error);
/* What a decode step with all slots in use sends for one owner of K or V. */
uint64_t pair_lasting_bytes(const struct pair_lasting *l);
/* Wipes K's sets but the last that no slot is in. */
void pair_lasting_free_sets(struct pair_lasting *l);

#endif
