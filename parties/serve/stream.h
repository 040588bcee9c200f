/* Answers as server-sent events. */
#ifndef CACHET_PARTIES_SERVE_STREAM_H
#define CACHET_PARTIES_SERVE_STREAM_H

#include "parties/serve/completion.h"

/* The header of a request that asks for the figures of each token. */
#define SERVE_COSTS_HEADER "X-Cachet-Costs"

enum MHD_Result serve_stream_answer(struct serve_exchange *exchange, struct serve_completion *completion);

#endif
