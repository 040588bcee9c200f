/* One request for text: from its body to its last event. */
#ifndef CACHET_PARTIES_SERVE_COMPLETION_H
#define CACHET_PARTIES_SERVE_COMPLETION_H

#include "parties/serve/answer.h"
#include "parties/serve/prompt.h"
#include "parties/serve/reply.h"

struct serve_completion {
    struct gateway *gateway;
    struct MHD_Connection *connection;
    int socket;
    struct api_request request;
    struct serve_prompt prompt;
    const char *stops[API_STOPS + 1];
    struct cachet_request asked;
    struct cachet_job *job;
    char job_id[40];
    struct serve_answer answer;
    struct cachet_result result;
    bool settled; /* its outcome has been counted */
    double began;
    size_t tokens;
    /* Streams. */
    struct api_stream stream;
    struct api_text event;
    const char *sending; /* of the event, or static */
    size_t sending_size, sent;
    bool begun, done, says_done; /* says_done: "[DONE]" is still to be sent */
};

/* Answers POST /v1/chat/completions and /v1/completions: at the end, or with a stream that goes on by itself. */
enum MHD_Result serve_completion_answer(struct serve_exchange *exchange, enum api_endpoint endpoint);
/* After the exchange, however it ended: cancels what still runs. Accepts NULL. */
void serve_completion_end(struct serve_completion *completion);

/* For stream.c. The answer has ended: its result, or how it is refused. */
BASE_MUST_USE bool serve_completion_result(struct serve_completion *completion, struct api_error *refusal);
/* Counts the outcome and logs it, once. */
void serve_completion_settle(struct serve_completion *completion, enum serve_outcome outcome);
void serve_completion_count_token(struct serve_completion *completion, const struct cachet_token *token);
/* Cancels, because the reader is gone or slow or the server stops. */
void serve_completion_cancel(struct serve_completion *completion, enum serve_event why);
/* A wait of ours must not count as the client's silence: the connection's time begins anew. */
void serve_completion_keep(struct serve_completion *completion, bool waiting);

#endif
