/* A file that is written once, sealed, and used once: a head that says what it is, and a stream of bytes under a key that lives in the head alone.
 *
 *   head, 256 B   magic, state, what its owner says of it, size of the stream, salt, tag
 *   stream        frames of 2^18 bytes and 17 more, the last one shorter and marked as the last (XChaCha20-Poly1305, libsodium's secretstream)
 *
 * Stream key: BLAKE2b of the salt under the owner's key. Tag: BLAKE2b of the head under the owner's key. So a file that was cut, edited, put together
 * from others, or written under another key is refused before a byte of it is given out: opening reads all of it once, and reading checks again.
 *
 * Using it (pair_sealed_use) overwrites the head, the salt among it, and waits until that is on disk. From then on nobody can open the file, whatever
 * happens to the program: what was read into memory before is the only way to it. A head that was half overwritten has a wrong tag.
 *
 * Files belong to this user alone (0600). Under its final name a file is whole: it is written under another one, synced, and renamed.
 * What is not covered: a copy or snapshot of the file from before its use; nobody may restore one. */
#ifndef CACHET_PAIR_SEALED_H
#define CACHET_PAIR_SEALED_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { PAIR_SEALED_KEY = 32, PAIR_SEALED_ABOUT = 96, PAIR_SEALED_HEAD = 256, PAIR_SEALED_FRAME = 1 << 18 };

struct pair_sealed;

/* A new file beside its place, named PATH.partial until pair_sealed_place; one of that name that was left is replaced. Errors: BASE_ERR_IO, BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status pair_sealed_create(struct pair_sealed **ret, const char *path, const uint8_t key[PAIR_SEALED_KEY], struct base_error *error);
BASE_MUST_USE enum base_status pair_sealed_put(struct pair_sealed *file, const void *data, size_t size, struct base_error *error);
/* The end of the stream, and the head: on disk when this returns, not yet in its place. */
BASE_MUST_USE enum base_status pair_sealed_close(struct pair_sealed *file, const uint8_t about[PAIR_SEALED_ABOUT], struct base_error *error);
/* Under its own name, durably; frees. Errors: BASE_ERR_IO; there is no file then. */
BASE_MUST_USE enum base_status pair_sealed_place(struct pair_sealed **file, struct base_error *error);

enum pair_sealed_state { PAIR_SEALED_WHOLE, PAIR_SEALED_USED };
/* Reads the head alone: about is set where it is whole. Errors: BASE_ERR_IO, BASE_ERR_FORMAT (not such a file, cut, edited or of another key),
 * BASE_ERR_MISMATCH (rights, owner), each naming the file and what to do. */
BASE_MUST_USE enum base_status pair_sealed_look(const char *path, const uint8_t key[PAIR_SEALED_KEY], enum pair_sealed_state *ret,
                                                uint8_t ret_about[PAIR_SEALED_ABOUT], struct base_error *error);
/* Reads and checks all of it. Errors: as above; BASE_ERR_FORMAT also for one that is used. */
BASE_MUST_USE enum base_status pair_sealed_open(struct pair_sealed **ret, const char *path, const uint8_t key[PAIR_SEALED_KEY],
                                                uint8_t ret_about[PAIR_SEALED_ABOUT], struct base_error *error);
/* Marks it used, on disk: before anything that was read may be used. Errors: BASE_ERR_IO; it may or may not be marked then, and must not be used. */
BASE_MUST_USE enum base_status pair_sealed_use(struct pair_sealed *file, struct base_error *error);
/* The next bytes. Errors: BASE_ERR_FORMAT (fewer are left, or the file has changed), BASE_ERR_IO. */
BASE_MUST_USE enum base_status pair_sealed_get(struct pair_sealed *file, void *ret_data, size_t size, struct base_error *error);
uint64_t pair_sealed_left(const struct pair_sealed *file);
/* Wipes and frees; removes the file where it is one that was begun and not placed, or one that is used. Accepts a pointer to NULL. */
void pair_sealed_finish(struct pair_sealed **file);

#endif
