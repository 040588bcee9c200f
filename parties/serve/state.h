/* What GET /health and GET /state say. */
#ifndef CACHET_PARTIES_SERVE_STATE_H
#define CACHET_PARTIES_SERVE_STATE_H

#include "parties/serve/reply.h"

/* 200 {"status": "ok"} when every party is connected, else 503 with the reason. Says nothing else: it needs no key. */
enum MHD_Result serve_health_answer(struct serve_exchange *exchange);
/* Model, context, cache policy, places, and each party's link: for the page. */
enum MHD_Result serve_state_answer(struct serve_exchange *exchange);

#endif
