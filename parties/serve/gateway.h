/* The gateway: one client of a deployment, and the HTTP server in front of it. What its files share. */
#ifndef CACHET_PARTIES_SERVE_GATEWAY_H
#define CACHET_PARTIES_SERVE_GATEWAY_H

#include "base/log.h"
#include "parties/api/api_response.h"
#include "parties/api/chat_template.h"
#include "parties/cachet.h"
#include "parties/serve/access.h"
#include "parties/serve/listen.h"
#include "parties/serve/metrics.h"

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdint.h>

struct serve_options {
    size_t most_connections; /* those beyond it get 503, or are closed where they are many more */
    size_t body_bytes;
    int ping_ms;            /* a stream is never silent for longer */
    int request_ms;         /* for a request to arrive whole; a connection without a request is closed after it, too */
    int patience_ms;        /* for a reader that does not read */
    size_t prompt_multiple; /* the parties see lengths of prompts rounded up to a multiple of it; 1: the true ones */
    size_t padding;         /* of the events of a stream, bytes */
};

/* What the watchdog knows of a connection. */
struct serve_connection {
    int socket;
    int64_t deadline_ms; /* of the request that is arriving; 0: none is */
    struct serve_connection *before, *after;
};

struct gateway {
    struct cachet *client;
    struct cachet_model model;
    const char *model_name; /* as requests say it */
    const struct api_template *chat;
    int32_t pad_token;
    bool has_bos;
    int64_t created; /* seconds since 1970 */
    struct serve_options options;
    struct serve_keys keys;
    bool check_host;       /* Host must hold a name of this machine, or host_name */
    const char *host_name; /* NULL: none */
    struct serve_listen listen;
    struct base_log log;
    struct serve_metrics metrics;
    struct MHD_Daemon *daemon;
    /* draining: new requests are refused; stopping: those that run are cancelled. */
    atomic_bool draining, stopping;
    atomic_size_t generating;
    pthread_mutex_t connections_mutex;
    struct serve_connection *connections;
    size_t connection_count;
};

#endif
