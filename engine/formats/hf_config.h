/* config.json of a Hugging Face directory -> shape. */
#ifndef CACHET_ENGINE_FORMATS_HF_CONFIG_H
#define CACHET_ENGINE_FORMATS_HF_CONFIG_H

#include "engine/formats/model_file.h"

/* `text` of `size` bytes; `path` names the file in errors. Unsupported fields are refused by name and value. */
BASE_MUST_USE enum base_status eng_hf_config_parse(const char *text, size_t size, const char *path, struct eng_model_shape *ret,
                                                   struct base_error *error);

#endif
