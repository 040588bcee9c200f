/* Who may ask: API keys, and the headers that tell a local program from a page in a browser. */
#ifndef CACHET_PARTIES_SERVE_ACCESS_H
#define CACHET_PARTIES_SERVE_ACCESS_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

enum { SERVE_KEY_HASH = 32, SERVE_LEAST_KEY = 16, SERVE_MOST_KEY = 512, SERVE_MOST_KEYS = 1024 };

/* Zeroed: no keys, everyone may ask. Holds hashes, not keys. */
struct serve_keys {
    unsigned char (*hashes)[SERVE_KEY_HASH];
    size_t count;
};
/* One key per line; empty lines and those that begin with # are passed over. Errors: BASE_ERR_IO; BASE_ERR_FORMAT
 * naming file and line (too short, too long, spaces within), or no key at all. */
BASE_MUST_USE enum base_status serve_keys_read(struct serve_keys *ret, const char *path, struct base_error *error);
void serve_keys_finish(struct serve_keys *keys);
/* Whether the header "Authorization: Bearer KEY" holds one of the keys. Looks at all of them, in time that does not
 * depend on which fits. authorization may be NULL. */
bool serve_keys_allow(const struct serve_keys *keys, const char *authorization);

/* Whether a Host header names this machine itself: localhost, 127.x.x.x or [::1], with or without a port. A page whose
 * name was made to lead to 127.0.0.1 (DNS rebinding) still says its own name here. */
bool serve_host_is_local(const char *host);
/* Whether it is `name`, with or without a port. */
bool serve_host_is(const char *host, const char *name);
/* Whether an Origin header, which browsers add, is the gateway's own page: http or https and the same host and port.
 * NULL is: no browser. */
bool serve_origin_is_own(const char *origin, const char *host);

#endif
