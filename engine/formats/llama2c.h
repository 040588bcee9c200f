/* llama2.c checkpoints: the legacy file (seven int32, then float32 tensors, RoPE tables between) and version 1.
 * Source: github.com/karpathy/llama2.c, export.py, legacy_export and version1_export. */
#ifndef CACHET_ENGINE_FORMATS_LLAMA2C_H
#define CACHET_ENGINE_FORMATS_LLAMA2C_H

#include "engine/formats/tensor_table.h"

/* True for a version 1 or later magic, or for seven plausible legacy header numbers. */
bool eng_llama2c_matches(struct eng_bytes file);

/* Fills a zeroed table from a file held in memory. The header names no epsilon, theta or token ids: they are those of
 * llama2.c (1e-5, 10000, bos 1; 1 and 2 end a text), and legacy RoPE tables that say otherwise are refused.
 * Errors: BASE_ERR_FORMAT (size does not match the header), BASE_ERR_SUPPORT (other versions, other RoPE). */
BASE_MUST_USE enum base_status eng_llama2c_load(struct eng_tensor_table *ret, struct eng_bytes file,
                                                struct base_error *error);

#endif
