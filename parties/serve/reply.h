/* One HTTP exchange, and how it is answered. */
#ifndef CACHET_PARTIES_SERVE_REPLY_H
#define CACHET_PARTIES_SERVE_REPLY_H

#include "parties/serve/gateway.h"

struct serve_completion;
struct serve_route;

/* A request from its headers to the end of its answer. */
struct serve_exchange {
    struct gateway *gateway;
    struct MHD_Connection *connection;
    const struct serve_route *route; /* NULL: refused before one was found */
    const char *rest;                /* of the path, after the route's; borrowed from the connection */
    char *body;
    size_t body_size, body_capacity;
    uint64_t passed_over;     /* bytes of a body that is not wanted */
    struct api_error refusal; /* http_status 0: none so far */
    const char *allow;        /* of a 405, or of OPTIONS */
    struct serve_completion *completion;
    char request_id[40]; /* "": none */
};

/* Every answer has these headers: no sniffing, no storing, no embedding. `content` is copied. */
enum MHD_Result serve_reply_text(struct serve_exchange *exchange, int http_status, const char *content_type,
                                 const char *content, size_t size);
/* JSON of a refusal; 429 and 503 say when to come again, 405 what is allowed. */
enum MHD_Result serve_reply_error(struct serve_exchange *exchange, const struct api_error *refusal);
/* The same for a failure of our own. */
enum MHD_Result serve_reply_base_error(struct serve_exchange *exchange, const struct base_error *error);
/* Queues a response that the caller made, and gives it up. */
enum MHD_Result serve_reply_queue(struct serve_exchange *exchange, int http_status, struct MHD_Response *response);

#endif
