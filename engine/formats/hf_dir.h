/* A Hugging Face model directory: config.json, optionally generation_config.json, and model.safetensors or
 * model.safetensors.index.json with its shards. */
#ifndef CACHET_ENGINE_FORMATS_HF_DIR_H
#define CACHET_ENGINE_FORMATS_HF_DIR_H

#include "engine/formats/tensor_table.h"

/* Reads headers and fills the table. On failure *ret holds only what its owner releases.
 * Errors: as eng_model_file_open; texts start with the file. */
BASE_MUST_USE enum base_status eng_hf_dir_load(struct eng_mapped_model *ret, const char *path,
                                               struct base_error *error);

/* The naming of Hugging Face's llama, mistral and qwen2, and the one of its gpt2, whose files call the
 * tensors with or without "transformer." before. */
extern const struct eng_naming eng_hf_naming, eng_hf_gpt2_naming, eng_hf_gpt2_bare_naming;

/* Fills an initialised table from tensors with Hugging Face names (a table of eng_hf_gpt2_naming takes the
 * bare names where the file has those); a tied model may store its embedding under either of the two names,
 * or under both with equal bytes. */
BASE_MUST_USE enum base_status eng_hf_tensors_fill(struct eng_tensor_table *table, struct eng_named_tensor *tensors,
                                                   size_t count, struct base_error *error);

#endif
