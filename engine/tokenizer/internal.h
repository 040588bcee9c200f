/* What a tokenizer is made of, and the readers that make one. For this folder and its tests. */
#ifndef CACHET_ENGINE_TOKENIZER_INTERNAL_H
#define CACHET_ENGINE_TOKENIZER_INTERNAL_H

#include "engine/tokenizer/added.h"
#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/decoder.h"
#include "engine/tokenizer/normalizer.h"
#include "engine/tokenizer/pretokenizer.h"
#include "engine/tokenizer/tokenizer.h"

/* Zero-initialise. Text goes through the parts from top to bottom. */
struct eng_tokenizer {
    struct eng_added raw_added; /* matched in the text as it is given */
    struct eng_normalizer normalizer;
    struct eng_added normal_added; /* matched in normalized text */
    struct eng_pretokenizer pretokenizer;
    struct eng_bpe bpe;
    struct eng_decoder decoder;
    int32_t bos; /* -1: none */
    int32_t eos;
    bool adds_bos;
};

/* Releases what the parts hold, not the struct itself. */
void eng_tokenizer_finish(struct eng_tokenizer *tokenizer);

/* Each reader fills a zeroed tokenizer from a file held in memory; after an error the caller still calls
 * eng_tokenizer_finish. Errors: as eng_tokenizer_open. */
BASE_MUST_USE enum base_status eng_tokenizer_json_parse(struct eng_tokenizer *ret, struct eng_bytes json,
                                                        struct base_error *error);
BASE_MUST_USE enum base_status eng_tokenizer_llama2c_parse(struct eng_tokenizer *ret, struct eng_bytes file,
                                                           struct base_error *error);
BASE_MUST_USE enum base_status eng_tokenizer_gguf_parse(struct eng_tokenizer *ret, struct eng_bytes file,
                                                        struct base_error *error);

/* Adds what tokenizer_config.json, held in memory, says beside a tokenizer.json that has been read: bos, eos, and whether
 * prompts begin with bos. A bos in the tokenizer's own template stays. */
BASE_MUST_USE enum base_status eng_tokenizer_config_parse(struct eng_tokenizer *tokenizer, struct eng_bytes json,
                                                          struct base_error *error);

/* Fills byte_ids of a byte-level vocabulary that has been indexed. */
void eng_tokenizer_find_bytes(struct eng_bpe *bpe);

/* Puts a piece of a byte-level vocabulary: as the bytes it stands for, or, when it is not written in the byte-level
 * alphabet, as a piece that BPE cannot produce. */
BASE_MUST_USE enum base_status eng_tokenizer_put_byte_level(struct eng_vocab *vocab, size_t id, struct eng_bytes written,
                                                            struct base_error *error);

#endif
