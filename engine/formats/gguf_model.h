/* Models in GGUF files: architectures "llama" (also Mistral) and "qwen2". */
#ifndef CACHET_ENGINE_FORMATS_GGUF_MODEL_H
#define CACHET_ENGINE_FORMATS_GGUF_MODEL_H

#include "engine/formats/gguf.h"

/* Fills a zeroed table from a GGUF file held in memory. Errors: as eng_model_file_open, without the path. */
BASE_MUST_USE enum base_status eng_gguf_load(struct eng_tensor_table *ret, struct eng_bytes file,
                                             struct base_error *error);

#endif
