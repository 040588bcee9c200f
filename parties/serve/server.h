/* The HTTP server: libmicrohttpd with a thread per connection. */
#ifndef CACHET_PARTIES_SERVE_SERVER_H
#define CACHET_PARTIES_SERVE_SERVER_H

#include "parties/serve/gateway.h"

/* gateway->listen is open; its client, options, keys and log are set. Errors: BASE_ERR_IO. */
BASE_MUST_USE enum base_status serve_server_start(struct gateway *gateway, struct base_error *error);
/* Ends connections whose request does not arrive in time. To be called several times a second. */
void serve_server_look(struct gateway *gateway);
/* No new connections and requests; those that run may go on for drain_ms, then they are cancelled. Returns when all are
 * ended. */
void serve_server_stop(struct gateway *gateway, int drain_ms);

#endif
