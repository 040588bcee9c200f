/* Readers of single values of a body, for api_request.c and its neighbours. */
#ifndef CACHET_PARTIES_API_READ_H
#define CACHET_PARTIES_API_READ_H

#include "parties/api/api_request.h"

#include <jansson.h>

/* One body on its way. */
struct api_reader {
    struct api_request *request;
    const struct api_limits *limits;
    struct api_error *error;
    const char *tokens_given_by; /* which of the two names of max_tokens; NULL: none yet */
    bool has_stream_options;
};

/* Where a value stands: "messages[2].content". */
struct api_path {
    char text[96];
};
__attribute__((format(printf, 1, 2))) struct api_path api_path(const char *format, ...);

/* Fails with "<path> is <value>; allowed: <allowed>". Of the value only its type is said, or the number that it is. */
enum base_status api_refuse(const struct api_reader *reader, const char *path, const json_t *value,
                            const char *allowed);
/* Fails because the object at `path` ("": the body itself) has a field that nobody knows, or has not one that it needs.
 */
enum base_status api_refuse_unknown(const struct api_reader *reader, const char *path, const char *key,
                                    const char *known);
enum base_status api_refuse_missing(const struct api_reader *reader, const char *path, const char *needed);
/* Answers BASE_ERR_MEMORY. */
enum base_status api_refuse_memory(const struct api_reader *reader, const struct base_error *error);

/* Each refuses another type or a value outside by the path. */
enum base_status api_read_bool(const struct api_reader *reader, const char *path, const json_t *value, bool *ret);
enum base_status api_read_size(const struct api_reader *reader, const char *path, const json_t *value, size_t minimum,
                               size_t maximum, size_t *ret);

/* A copy of a string, NUL-terminated. base_free_secret it. */
enum base_status api_read_text(const struct api_reader *reader, const json_t *value, char **ret, size_t *ret_size);

/* Parameters "messages" and "prompt"; see api_messages.c. */
enum base_status api_read_messages(struct api_reader *reader, const char *path, const json_t *value);
enum base_status api_read_prompt(struct api_reader *reader, const char *path, const json_t *value);

#endif
