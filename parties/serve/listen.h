/* The address that the gateway listens on. */
#ifndef CACHET_PARTIES_SERVE_LISTEN_H
#define CACHET_PARTIES_SERVE_LISTEN_H

#include "base/status.h"

#include <stdbool.h>

struct serve_listen {
    int socket;       /* bound and listening; -1: none */
    bool ipv6, local; /* local: no other machine can reach it */
    char url[96];     /* "http://127.0.0.1:8080", with the port that was really taken */
};
/* address: "HOST:PORT", "[IPV6]:PORT" or a name; port 0 takes a free one. Errors: BASE_ERR_ARGUMENT naming the part
 * that is wrong; BASE_ERR_IO when the port is taken. */
BASE_MUST_USE enum base_status serve_listen_open(struct serve_listen *ret, const char *address,
                                                 struct base_error *error);
/* Whether an address is loopback, without opening it. Errors as above. */
BASE_MUST_USE enum base_status serve_listen_check(const char *address, bool *ret_local, struct base_error *error);
void serve_listen_close(struct serve_listen *listen);

#endif
