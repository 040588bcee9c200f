/* The one table of limits for everything read from model and tokenizer files. A file beyond a limit is refused by
 * name; raise the number here when a real model needs it. */
#ifndef CACHET_ENGINE_FORMATS_LIMITS_H
#define CACHET_ENGINE_FORMATS_LIMITS_H

#define ENG_LIMIT_JSON_BYTES (64u << 20)               /* config.json, tokenizer.json, shard index */
#define ENG_LIMIT_SAFETENSORS_HEADER_BYTES (100u << 20) /* the format's own limit */
#define ENG_LIMIT_SHARDS 512u
#define ENG_LIMIT_TENSORS 65536u
#define ENG_LIMIT_NAME_BYTES 512u
#define ENG_LIMIT_GGUF_KEYS 65536u
#define ENG_LIMIT_GGUF_ARRAY_ITEMS (1u << 26)
#define ENG_LIMIT_LAYERS 1024u
#define ENG_LIMIT_WIDTH 65536u
#define ENG_LIMIT_HEADS 1024u
#define ENG_LIMIT_HEAD_DIM 1024u
#define ENG_LIMIT_FFN (1u << 20)
#define ENG_LIMIT_VOCAB (1u << 21)
#define ENG_LIMIT_CONTEXT (1u << 26)
#define ENG_LIMIT_ROPE_THETA 1e9
#define ENG_LIMIT_ROPE_FACTOR 1e6
#define ENG_LIMIT_PIECE_BYTES 4096u                    /* one vocabulary entry */
#define ENG_LIMIT_MERGES (1u << 22)
#define ENG_LIMIT_PIPELINE_STAGES 16u                  /* normalizer or pre-tokenizer steps */
#define ENG_LIMIT_REGEX_BYTES 8192u
#define ENG_LIMIT_PROMPT_BYTES (256u << 20)

#endif
