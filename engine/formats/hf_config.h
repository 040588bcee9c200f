/* config.json and generation_config.json of a Hugging Face directory. */
#ifndef CACHET_ENGINE_FORMATS_HF_CONFIG_H
#define CACHET_ENGINE_FORMATS_HF_CONFIG_H

#include "engine/formats/model_file.h"
#include "engine/formats/text.h"

/* Reads config.json held in memory into a shape. Every field that changes the computation is either understood or
 * refused; fields that only steer training or sampling are ignored.
 * Errors: BASE_ERR_FORMAT (malformed field), BASE_ERR_SUPPORT (a computation that cachet does not do); texts name field
 * and value. */
BASE_MUST_USE enum base_status eng_hf_config_parse(struct eng_model_shape *ret, struct eng_bytes text,
                                                   struct base_error *error);

/* Lets generation_config.json, held in memory, replace bos and eos ids. */
BASE_MUST_USE enum base_status eng_hf_generation_parse(struct eng_model_shape *shape, struct eng_bytes text,
                                                       struct base_error *error);

#endif
