/* A model's public shape as JSON: what parties need to know of a model that they hold as shares. */
#ifndef CACHET_ENGINE_SHAPE_FILE_H
#define CACHET_ENGINE_SHAPE_FILE_H

#include "engine/formats/model_file.h"

#include <jansson.h>

/* A new reference; NULL when memory is short. */
json_t *eng_shape_to_json(const struct eng_model_shape *shape);
/* Errors: BASE_ERR_FORMAT naming the field, and those of eng_model_shape_check. */
BASE_MUST_USE enum base_status eng_shape_from_json(const json_t *object, struct eng_model_shape *ret,
                                                   struct base_error *error);

/* The public shapes that costs and benchmarks know by name (weights are synthetic). Errors: BASE_ERR_ARGUMENT
 * with the names that exist. */
BASE_MUST_USE enum base_status eng_shape_named(const char *name, struct eng_model_shape *ret,
                                               struct base_error *error);

#endif
