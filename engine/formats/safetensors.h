/* The safetensors container: 8 bytes of header size, a JSON header, then the tensors' bytes without gaps.
 * Source: github.com/huggingface/safetensors, README "Format". */
#ifndef CACHET_ENGINE_FORMATS_SAFETENSORS_H
#define CACHET_ENGINE_FORMATS_SAFETENSORS_H

#include "engine/formats/tensor_table.h"

/* Zero-initialise. Names borrow from `header`, bytes from the file. */
struct eng_safetensors {
    json_t *header;
    struct eng_named_tensor *tensors; /* in file order */
    size_t count;
};

/* Parses one file held in memory.
 * Errors: BASE_ERR_FORMAT (truncated, gaps, overlaps, trailing bytes, duplicate or malformed entries),
 * BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status eng_safetensors_parse(struct eng_safetensors *ret, struct eng_bytes file,
                                                     struct base_error *error);
void eng_safetensors_finish(struct eng_safetensors *file);

#endif
