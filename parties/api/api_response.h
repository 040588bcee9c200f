/* Answers of OpenAI's API as JSON texts: whole ones, chunks of a stream, errors, the list of models. No network here.
 *
 * Figures of cachet travel under the key "cachet": of the whole request in a whole answer and in the last chunk; of one
 * token in its chunk, when asked. */
#ifndef CACHET_PARTIES_API_RESPONSE_H
#define CACHET_PARTIES_API_RESPONSE_H

#include "parties/api/api_request.h"

/* A text that was built; holds answers, so it is wiped. Zero-initialise. data ends with a NUL that size does not count.
 */
struct api_text {
    char *data;
    size_t size;
};
void api_text_finish(struct api_text *text);

/* What all answers to one request say; strings are borrowed. */
struct api_answer {
    enum api_endpoint endpoint;
    const char *job;    /* cachet_job_id */
    const char *model;  /* as it is served */
    const char *digest; /* of the model, in hex; "" or NULL: no system_fingerprint */
    const char *policy;
    int64_t created; /* seconds since 1970 */
};

/* chat.completion or text_completion. `text`: the whole answer, UTF-8. result->finish must be STOP or LENGTH
 * (BASE_ERR_ARGUMENT else: a failed or cancelled request is answered with an error). Errors: BASE_ERR_ARGUMENT (invalid
 * UTF-8), BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status api_response_whole(struct api_text *ret, const struct api_answer *answer,
                                                  const char *text, size_t size, const struct cachet_result *result,
                                                  struct base_error *error);

/* {"error": ...} */
BASE_MUST_USE enum base_status api_response_error(struct api_text *ret, const struct api_error *refusal,
                                                  struct base_error *error);

/* {"object": "list", "data": [...]} with the one model; or that model's object alone. Holds "cachet": architecture,
 * digest, plan, policy, context, vocabulary, layers, slots. */
BASE_MUST_USE enum base_status api_response_models(struct api_text *ret, const struct cachet_model *model,
                                                   const char *name, int64_t created, struct base_error *error);
BASE_MUST_USE enum base_status api_response_model(struct api_text *ret, const struct cachet_model *model,
                                                  const char *name, int64_t created, struct base_error *error);

/* A stream of server-sent events: every function gives one event, "data: {...}\n\n", ready to be sent.
 *
 * Lengths do not tell the tokens: with `obfuscate` every event (api_stream_end's and comments apart) is padded by a
 * field "obfuscation" of random letters and digits to bytes + padding, where `bytes` is the length of a chunk without
 * text, with room for a token's figures where they are sent. What does not fit takes the next multiple of padding more;
 * API_PADDING holds 60 bytes of any text, and the figures of a whole request. */
enum { API_PADDING = 512, API_PADDING_MIN = 64, API_PADDING_MAX = 65536 };
struct api_stream {
    struct api_answer answer;
    bool usage;     /* stream_options.include_usage: every chunk has a field "usage" */
    bool obfuscate; /* stream_options.include_obfuscation */
    bool costs;     /* api_stream_token adds the figures of its token */
    size_t padding; /* 0: API_PADDING */
    size_t bytes;   /* set by api_stream_open */
};
/* Takes a struct with all but `bytes` filled in. Errors: BASE_ERR_ARGUMENT (padding out of range), BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status api_stream_open(struct api_stream *stream, struct base_error *error);

/* The first event of API_CHAT, with the role; of API_COMPLETION: an empty text, which clients accept as well. */
BASE_MUST_USE enum base_status api_stream_begin(struct api_text *ret, const struct api_stream *stream,
                                                struct base_error *error);
/* token->text, possibly empty; with `costs` also "cachet": {index, seconds, rounds, online_bytes, dealt_bytes,
 * client_bytes, shared_with}. */
BASE_MUST_USE enum base_status api_stream_token(struct api_text *ret, const struct api_stream *stream,
                                                const struct cachet_token *token, struct base_error *error);
/* The chunk with finish_reason and figures; where usage is asked for, a second event with it and no choices follows in
 * the same text. result->finish as api_response_whole. */
BASE_MUST_USE enum base_status api_stream_finish(struct api_text *ret, const struct api_stream *stream,
                                                 const struct cachet_result *result, struct base_error *error);
/* An error in the middle of a stream, in place of api_stream_finish: {"error": ...}, padded as other events. */
BASE_MUST_USE enum base_status api_stream_error(struct api_text *ret, const struct api_stream *stream,
                                                const struct api_error *refusal, struct base_error *error);
/* "data: [DONE]\n\n"; static. */
const char *api_stream_end(void);
/* ": text\n\n", which clients ignore; control characters become spaces. The text must hold public things only. */
BASE_MUST_USE enum base_status api_stream_comment(struct api_text *ret, const char *text, struct base_error *error);

#endif
