/* Pieces of answers that whole ones and chunks share. json_t results are NULL where there is no memory. */
#ifndef CACHET_PARTIES_API_JSON_H
#define CACHET_PARTIES_API_JSON_H

#include "parties/api/api_response.h"

#include <jansson.h>

/* id, object, created, model, system_fingerprint. */
json_t *api_json_envelope(const struct api_answer *answer, bool chunk);
json_t *api_json_usage(const struct cachet_result *result);
json_t *api_json_figures(const struct cachet_result *result, const char *policy);
json_t *api_json_error(const struct api_error *refusal);

/* finish_reason. Errors: BASE_ERR_ARGUMENT for requests that did not come to an end. */
BASE_MUST_USE enum base_status api_json_finish(const char **ret, const struct cachet_result *result,
                                               struct base_error *error);

/* A string of an answer's text. Errors: BASE_ERR_ARGUMENT (invalid UTF-8), BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status api_json_text(json_t **ret, const char *text, size_t size, struct base_error *error);

/* The compact text of a value; NULL is BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status api_json_dump(struct api_text *ret, const json_t *json, struct base_error *error);

#endif
