/* Share sets: a model's masked weights as directories, one per party and one for clients, made once by the
 * model owner.
 *
 *   OUT/p0 p1 p2    manifest.json  plan.json  weights.bin (engine/weights.h says how it is laid out)
 *   OUT/client      manifest.json  plan.json  and the tokenizer's files
 *
 * A manifest names the set, the model, the plan, the role and the public shape, with the digest of
 * weights.bin. The keys of the masks are drawn for the set and forgotten. A directory appears whole or not at
 * all. */
#ifndef CACHET_ENGINE_SHARE_SET_H
#define CACHET_ENGINE_SHARE_SET_H

#include "base/file.h"
#include "engine/weights.h"

enum {
    ENG_SHARE_PARTIES = 3,
    ENG_SHARE_CLIENT = 3,
    ENG_SHARE_ROLES = 4,
    ENG_SET_ID = 33,
    ENG_HEX_DIGEST = 65
};

/* Writes a set into the new directory `out`. plan->model must name the model. tokenizer: a file or a model
 * directory, or NULL for none. Errors: BASE_ERR_IO (directory exists, no space; nothing is left behind), and
 * those of eng_weights_make. */
BASE_MUST_USE enum base_status eng_share_set_write(const char *out, const struct eng_weight_source *source,
                                                   const struct eng_plan *plan, const char *tokenizer,
                                                   const struct kern_table *kern,
                                                   struct base_progress *progress, char ret_set[ENG_SET_ID],
                                                   struct base_error *error);

/* One role's directory, open. */
struct eng_share {
    int role; /* 0 to 2: party, 3: client */
    char set[ENG_SET_ID], model[ENG_HEX_DIGEST], plan_digest[ENG_HEX_DIGEST];
    char shape_digest[ENG_HEX_DIGEST]; /* the manifest has no digest of its own: parties compare this one */
    struct eng_model_shape shape;
    struct eng_plan plan;
    struct base_file file; /* weights.bin, mapped */
    struct eng_weights weights;
};

/* Opens the directory of `role` and checks it: digest, sizes, plan. `progress` may be NULL.
 * Errors: BASE_ERR_IO, BASE_ERR_FORMAT (malformed, truncated, changed), BASE_ERR_MISMATCH (another role's,
 * another set's parts). */
BASE_MUST_USE enum base_status eng_share_open(struct eng_share *ret, const char *directory, int role,
                                              struct base_progress *progress, struct base_error *error);
void eng_share_close(struct eng_share *share);

#endif
