/* Long-term keys of parties and clients: CURVE key pairs, their text form (Z85, 40 characters) and their
 * file.
 *
 * The file is three lines, "cachet key 1", "public KEY", "secret KEY"; mode 0600, owned by whoever runs the
 * program. */
#ifndef CACHET_NET_KEYS_H
#define CACHET_NET_KEYS_H

#include "base/status.h"

#include <stdint.h>

enum {
    NET_KEY_BYTES = 32,
    NET_KEY_TEXT = 41, /* Z85 and its terminator */
};

struct net_key {
    uint8_t *secret; /* locked memory, NET_KEY_BYTES */
    uint8_t public_key[NET_KEY_BYTES];
};

/* A fresh pair from the operating system's randomness. Free with net_key_finish, which accepts a zeroed key.
 */
BASE_MUST_USE enum base_status net_key_generate(struct net_key *ret, struct base_error *error);
void net_key_finish(struct net_key *key);

/* Writes a new file, whole or not at all, with mode 0600. Errors: BASE_ERR_IO; also when the file exists. */
BASE_MUST_USE enum base_status net_key_save(const struct net_key *key, const char *path,
                                            struct base_error *error);

/* Reads a file. Refuses links, other file types, other owners, and any right of group or others
 * (BASE_ERR_IO); malformed content and halves that do not belong together (BASE_ERR_FORMAT). No error shows
 * any of the content. */
BASE_MUST_USE enum base_status net_key_load(struct net_key *ret, const char *path, struct base_error *error);

/* Text forms of a public key. Errors of parse: BASE_ERR_FORMAT. */
void net_key_write_text(const uint8_t public_key[NET_KEY_BYTES], char ret_text[NET_KEY_TEXT]);
BASE_MUST_USE enum base_status net_key_parse_text(const char *text, uint8_t ret_public_key[NET_KEY_BYTES],
                                                  struct base_error *error);

#endif
