/* From a request's first line to the code that answers it. */
#ifndef CACHET_PARTIES_SERVE_ROUTE_H
#define CACHET_PARTIES_SERVE_ROUTE_H

#include "parties/serve/reply.h"

struct serve_route {
    const char *path;
    bool below; /* and every path below it: path ends with '/' */
    bool post;  /* POST alone; else GET and HEAD */
    bool open;  /* needs no API key */
    enum MHD_Result (*answer)(struct serve_exchange *exchange);
};

/* Finds the route and looks at method, Host, Origin, key, type and length. Nothing is answered yet: *exchange gets a
 * route or a refusal, so that the body can be read first. */
void serve_route_begin(struct serve_exchange *exchange, const char *path, const char *method);
/* Once the body is there. */
enum MHD_Result serve_route_answer(struct serve_exchange *exchange);

#endif
