/* Decoders: how the pieces of a vocabulary become text again. All work is done once, when the tokenizer is opened. */
#ifndef CACHET_ENGINE_TOKENIZER_DECODER_H
#define CACHET_ENGINE_TOKENIZER_DECODER_H

#include "engine/tokenizer/normalizer.h"
#include "engine/tokenizer/vocab.h"

/* Zero-initialise. */
struct eng_decoder {
    bool byte_level;              /* pieces are bytes already */
    bool byte_fallback;           /* "<0x0A>" is one byte */
    struct eng_normalizer rewrite; /* Replace stages only */
    char strip;                   /* dropped at the start of the text, up to strip_count times */
    size_t strip_count;
};

/* Reads the "decoder" of a tokenizer.json: ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip, and Sequence of
 * those. Errors: BASE_ERR_SUPPORT naming another type. */
BASE_MUST_USE enum base_status eng_decoder_parse(struct eng_decoder *ret, const json_t *json, struct base_error *error);

/* Gives every MODEL and ADDED entry its output. Errors: BASE_ERR_MEMORY, BASE_ERR_INTERNAL. */
BASE_MUST_USE enum base_status eng_decoder_apply(const struct eng_decoder *decoder, struct eng_vocab *vocab,
                                                 struct base_error *error);

#endif
