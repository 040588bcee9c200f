/* Requests of OpenAI's API: the bodies of POST /v1/chat/completions and /v1/completions, read and checked. No network
 * here.
 *
 * What a body may hold is one table of parameters in api_request.c. Parameters that this server cannot obey are
 * accepted where they say what it does anyway ("n": 1) and refused by name otherwise; null counts as not given. */
#ifndef CACHET_PARTIES_API_REQUEST_H
#define CACHET_PARTIES_API_REQUEST_H

#include "parties/api/api_error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum api_endpoint {
    API_CHAT,       /* /v1/chat/completions */
    API_COMPLETION, /* /v1/completions */
};

enum api_role {
    API_ROLE_SYSTEM, /* "developer", too */
    API_ROLE_USER,
    API_ROLE_ASSISTANT,
};

struct api_message {
    enum api_role role;
    char *text; /* UTF-8 of `size` bytes; NUL is a character like others. Parts of an array are joined with a newline */
    size_t size;
};

enum { API_STOPS = 4, API_MODEL_BYTES = 256, API_DEPTH = 16 };

/* What a body may ask for; all at least 1, save vocabulary. */
struct api_limits {
    size_t body_bytes;
    size_t messages;
    size_t max_tokens; /* usually the context of the model */
    size_t vocabulary; /* of prompts as token ids; 0: those are refused */
};

/* Zero-initialise. */
struct api_request {
    enum api_endpoint endpoint;
    char model[API_MODEL_BYTES];  /* "": not given. The caller compares, and answers api_error_model */
    struct api_message *messages; /* API_CHAT: at least one */
    size_t message_count;
    char *prompt; /* API_COMPLETION: not empty; NULL when the prompt is token ids */
    size_t prompt_size;
    int32_t *ids;
    size_t id_count;
    size_t
        max_tokens; /* 0: not given. OpenAI's defaults: 16 for API_COMPLETION, the rest of the context for API_CHAT */
    double temperature; /* 0 to 2; 1 when not given */
    double top_p;       /* above 0, to 1; 1 when not given */
    size_t top_k;       /* 0: all */
    bool has_seed;
    uint64_t seed;         /* negative ones wrap around */
    char *stop[API_STOPS]; /* without NUL, 1 to CACHET_STOP_BYTES bytes each */
    size_t stop_count;
    bool stream;
    bool include_usage;       /* false without stream */
    bool include_obfuscation; /* true when not given: chunks are padded to one length */
};

/* Reads a body of `size` bytes. *ret is zeroed or filled, never half filled. Errors, with *error filled:
 * BASE_ERR_FORMAT (no JSON, with the byte offset; a key twice; deeper than API_DEPTH), BASE_ERR_ARGUMENT (a wrong type,
 * value or missing field), BASE_ERR_SUPPORT (a parameter that is not known or cannot be obeyed), BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status api_request_parse(struct api_request *ret, enum api_endpoint endpoint, const void *body,
                                                 size_t size, const struct api_limits *limits, struct api_error *error);

/* Wipes and frees; accepts a zeroed struct. */
void api_request_finish(struct api_request *request);

#endif
