/* Tokenizers: text to token ids and back, as the model was trained with.
 *
 * Kinds: byte-level BPE from tokenizer.json (GPT-2, SmolLM2, Llama 3, Qwen2 splits) and SentencePiece-style BPE from
 * tokenizer.json, both with added tokens; both also from the metadata of a GGUF file (models "gpt2" and "llama"); and
 * SentencePiece BPE with scores from llama2.c's tokenizer.bin. What a file asks for beyond these is refused by name.
 *
 * A tokenizer is immutable after opening: any number of threads may encode and decode with it. */
#ifndef CACHET_ENGINE_TOKENIZER_TOKENIZER_H
#define CACHET_ENGINE_TOKENIZER_TOKENIZER_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct eng_tokenizer;

/* Opens a tokenizer from a model directory (tokenizer.json, and tokenizer_config.json for bos and eos), a .gguf file,
 * a tokenizer.json or a llama2.c tokenizer.bin.
 * Errors: BASE_ERR_IO, BASE_ERR_FORMAT, BASE_ERR_SUPPORT (names what the file asks for), BASE_ERR_MEMORY; texts start
 * with the file. */
BASE_MUST_USE enum base_status eng_tokenizer_open(struct eng_tokenizer **ret, const char *path,
                                                  struct base_error *error);

/* Accepts a pointer to NULL; sets *tokenizer to NULL. */
void eng_tokenizer_close(struct eng_tokenizer **tokenizer);

/* Ids run from 0 to this count - 1. A model's vocab may be larger (padding rows). */
size_t eng_tokenizer_vocabulary(const struct eng_tokenizer *tokenizer);

/* Token ids, -1 when the files name none. */
int32_t eng_tokenizer_bos(const struct eng_tokenizer *tokenizer);
int32_t eng_tokenizer_eos(const struct eng_tokenizer *tokenizer);

/* Whether prompts of this model begin with bos. */
bool eng_tokenizer_adds_bos(const struct eng_tokenizer *tokenizer);

/* Token ids of one text; zero-initialise. */
struct eng_tokens {
    int32_t *ids;
    size_t count;
};

/* Wipes and frees; accepts a zeroed struct. */
void eng_tokens_finish(struct eng_tokens *tokens);

/* Splits text into tokens; special tokens written in the text become their ids.
 *
 * Units: `bytes` of UTF-8 at `text` (NUL is a character like others). With add_bos, bos comes first where there is one.
 * Cost: O(n log n), also for one letter repeated; about 60 bytes of memory per byte of the longest word.
 * Errors: BASE_ERR_ARGUMENT (invalid UTF-8, with the byte offset; text longer than the limit), BASE_ERR_SUPPORT (the
 * file's own split pattern needs too many steps on this text), BASE_ERR_MEMORY. The text itself never enters an error. */
BASE_MUST_USE enum base_status eng_tokenizer_encode(const struct eng_tokenizer *tokenizer, const char *text,
                                                    size_t bytes, bool add_bos, struct eng_tokens *ret,
                                                    struct base_error *error);

/* A piece of a prompt. control: written by a chat template, where special tokens ("<|im_start|>") become their ids. */
struct eng_part {
    const char *text;
    size_t size;
    bool control;
};

/* Tokens of the parts as of one text, with one difference: special tokens, and whatever other added tokens the control
 * parts use, count only where they stand wholly in control parts. Elsewhere they are split like any text.
 *
 * Between two special tokens neighbouring parts are one stretch of text: where the parts are cut does not matter.
 * Only special tokens that the file matches in normalized text ("normalized": true) are cut out before it is normalized.
 * Units, cost, errors: as eng_tokenizer_encode; offsets are those of the parts put together. */
BASE_MUST_USE enum base_status eng_tokenizer_encode_parts(const struct eng_tokenizer *tokenizer,
                                                          const struct eng_part *parts, size_t count, bool add_bos,
                                                          struct eng_tokens *ret, struct base_error *error);

/* Bytes of one token, borrowed from the tokenizer; possibly an incomplete UTF-8 sequence (see eng_utf8_stream). */
struct eng_piece {
    const uint8_t *bytes;
    size_t size;
};

/* What a token adds to the text after `prev` (-1 at the start: SentencePiece drops one leading space there, and after
 * bos). Special tokens add nothing. Errors: BASE_ERR_ARGUMENT when id is no token. */
BASE_MUST_USE enum base_status eng_tokenizer_decode_piece(const struct eng_tokenizer *tokenizer, int32_t prev,
                                                          int32_t id, struct eng_piece *ret, struct base_error *error);

/* Turns a stream of bytes into complete UTF-8: keeps an incomplete sequence until its rest arrives, and writes U+FFFD
 * for what can never become valid. Zero-initialise. */
struct eng_utf8_stream {
    uint8_t held[4];
    size_t count;
};

/* Appends `size` bytes; writes what is complete to ret, which has room for 3 * (size + 3) bytes. Returns how many were
 * written (no NUL is added). */
size_t eng_utf8_push(struct eng_utf8_stream *stream, const uint8_t *bytes, size_t size, char *ret);

/* Ends the stream: writes U+FFFD when a sequence was left incomplete (room for 3 bytes), and returns how many bytes. */
size_t eng_utf8_flush(struct eng_utf8_stream *stream, char *ret);

#endif
