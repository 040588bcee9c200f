/* Encrypted weights and their keys as a file of one party, so that a party that starts again need not encrypt them again.
 *
 * Little-endian: head (magic, version, party, the id of what both parties made together, digest of what it belongs to, number of matrices), keys of both
 * parameter sets (secret, public seeds and keys), each matrix (set, extents, and for each part its seed numbers and the peer's rows), and a BLAKE2b digest
 * of all before it. The file holds this party's secret key: mode 0600, beside its shares, written under another name and renamed. Only a complete
 * store is written, and nothing is encrypted under its keys afterwards (pair_lasting_find refuses further weights): so no seed number needs to be on
 * disk before it is used. Keys of texts are of one session and never written. */
#ifndef CACHET_PAIR_STORE_FILE_H
#define CACHET_PAIR_STORE_FILE_H

#include "pair/lasting.h"

enum { PAIR_STORE_DIGEST = 32 };

/* What a file belongs to. */
struct pair_store_owner {
    int party;
    uint8_t digest[PAIR_STORE_DIGEST]; /* of the model, its plan and its share set */
};

/* Errors: BASE_ERR_IO naming the path; BASE_ERR_INTERNAL (not complete). */
BASE_MUST_USE enum base_status pair_store_save(const struct pair_store *store, const struct pair_store_owner *owner, const char *path, struct base_error *error);
/* *ret is complete, or empty: where there is no such file, and after a failure. Errors: BASE_ERR_FORMAT (not such a file, cut short, changed),
 * BASE_ERR_MISMATCH (of another version, party, model or plan), BASE_ERR_IO, BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status pair_store_load(struct pair_store *ret, const struct pair_store_owner *owner, const char *path, struct base_error *error);

#endif
