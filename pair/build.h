/* A note of products by encrypted masks while it is built, in either role. Private to pair/. */
#ifndef CACHET_PAIR_BUILD_H
#define CACHET_PAIR_BUILD_H

#include "pair/lasting.h"
#include "pair/notes.h"

/* One answer: what becomes of part `part`. */
struct pair_piece {
    size_t part;
    uint64_t *share; /* [vectors][rows] */
};

struct pair_build_note {
    struct pair_note note;
    struct mpc_product_form form;
    size_t count;            /* words of the record */
    int ring;
    struct pair_lasting *of; /* NULL: scalars with their words */
    struct pair_piece *piece;
    size_t pieces, piece_room, job_room;
    void **block; /* all that the jobs read and write */
    size_t blocks, block_room;
    uint64_t *own; /* the record: own products, and then the shares */
};

/* What is being noted; n is NULL in the count role. */
struct pair_build {
    struct pair_maker *m;
    struct pair_build_note *n;
    struct pair_keys *keys;
    const struct pair_rlwe_params *params;
    int ring;  /* of the products */
    bool late; /* they meet rows of the same batch */
    struct pair_cost cost;
    uint64_t more;
};

/* Zeroed memory that lives as long as the note. ret: a pointer's address. */
BASE_MUST_USE enum base_status pair_build_keep(struct pair_build_note *n, void *ret, size_t count, size_t size, struct base_error *error);
/* Keys, where they are not there yet: one exchange, at once. */
BASE_MUST_USE enum base_status pair_build_keys(struct pair_build *b, struct base_error *error);
/* The note itself, with its record zeroed; none in the count role. */
BASE_MUST_USE enum base_status pair_build_note(struct pair_build *b, size_t count, int ring,
                                               enum base_status (*emit)(struct pair_maker *, struct pair_note *, struct base_error *), struct base_error *error);
/* A job that encrypts; its rows in *ret_rows, untouched in the count role. */
BASE_MUST_USE enum base_status pair_build_encrypt(struct pair_build *b, struct pair_rlwe_encrypt_form form, const uint64_t *matrix,
                                                  struct pair_rlwe_rows **ret_rows, struct base_error *error);
/* A job that answers, and its piece. view: of no use in the count role. */
BASE_MUST_USE enum base_status pair_build_product(struct pair_build *b, int owner, size_t part, const struct pair_rlwe_rows *view, size_t rows, size_t vectors,
                                                  const uint64_t *vector, struct base_error *error);
/* Gives away what is built, or drops it after a failure. */
struct pair_noted pair_build_taken(struct pair_build *b, enum base_status status);

/* Bytes that a batch sends for it, COTs included. */
uint64_t pair_build_weigh(const struct pair_maker *m, struct pair_cost cost);
/* Whether a product is encrypted that sends so many bytes then, and so many by Gilboa. */
bool pair_build_chooses(const struct pair_maker *m, uint64_t encrypted, uint64_t gilboa);

/* K or V: notes the encryption of what slots hold that is not encrypted (build_text.c). w: [heads / copies][outs][inner]. */
BASE_MUST_USE enum base_status pair_build_text(struct pair_build *b, struct pair_lasting *l, const struct mpc_product_form *form, const uint64_t *w,
                                               struct base_error *error);

#endif
