/* What the tests of the API's texts share. Include after cmocka's headers. */
#ifndef CACHET_TESTS_PARTIES_API_SUPPORT_H
#define CACHET_TESTS_PARTIES_API_SUPPORT_H

#include "parties/api/api_request.h"

#include <stdlib.h>
#include <string.h>

static const struct api_limits api_test_limits = {
    .body_bytes = 65536, .messages = 8, .max_tokens = 2048, .vocabulary = 512};

/* The text with every ' as ", so that JSON reads well in C. free() it. */
static inline char *quoted(const char *text)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    for (char *at = copy; *at != '\0'; at++)
        *at = *at == '\'' ? '"' : *at;
    return copy;
}

/* Parses a body that is written with single quotes. */
static inline enum base_status parse_quoted(struct api_request *ret, enum api_endpoint endpoint, const char *text,
                                            struct api_error *error)
{
    char *body = quoted(text);
    enum base_status status = api_request_parse(ret, endpoint, body, strlen(body), &api_test_limits, error);
    free(body);
    return status;
}

#endif
