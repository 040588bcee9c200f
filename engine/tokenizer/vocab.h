/* The vocabulary: pieces by id, ids by piece, and merges of two ids. */
#ifndef CACHET_ENGINE_TOKENIZER_VOCAB_H
#define CACHET_ENGINE_TOKENIZER_VOCAB_H

#include "engine/formats/text.h"

enum eng_entry_kind {
    ENG_ENTRY_NONE,    /* no piece has this id */
    ENG_ENTRY_MODEL,   /* BPE may produce it */
    ENG_ENTRY_ADDED,   /* only matched literally in the text; decodes to its text */
    ENG_ENTRY_SPECIAL, /* matched literally, decodes to nothing */
    ENG_ENTRY_BYTE,    /* stands for one byte that no other piece covers */
};

/* `text` is what encoding compares with: for byte-level vocabularies the bytes themselves, else UTF-8 as written.
 * `out` is what decoding writes. Both point into the arena. */
struct eng_entry {
    struct eng_bytes text;
    struct eng_bytes out;
    enum eng_entry_kind kind;
    bool searchable; /* eng_vocab_find may answer it; MODEL entries are from the start */
    float score;     /* only vocabularies with scores */
};

/* Zero-initialise. */
struct eng_vocab {
    struct eng_entry *entries;
    size_t count;
    uint8_t *arena;
    size_t arena_used;
    size_t arena_size;
    uint32_t *slots; /* open addressing over id + 1; NULL until indexed */
    size_t slot_mask;
    size_t longest; /* bytes of the longest indexed piece */
    uint8_t key[16];
};

/* Room for `count` ids and `bytes` of piece texts and outputs together. Errors: BASE_ERR_SUPPORT beyond the limits. */
BASE_MUST_USE enum base_status eng_vocab_init(struct eng_vocab *vocab, size_t count, size_t bytes,
                                              struct base_error *error);
void eng_vocab_finish(struct eng_vocab *vocab);

/* Gives an id its piece; `out` starts equal to `text`. Errors: BASE_ERR_FORMAT when the id is out of range or taken, or
 * the piece is empty or too long. */
BASE_MUST_USE enum base_status eng_vocab_put(struct eng_vocab *vocab, size_t id, struct eng_bytes text,
                                             enum eng_entry_kind kind, struct base_error *error);

/* Gives an entry an output of its own. Errors: BASE_ERR_INTERNAL when the arena has no room left. */
BASE_MUST_USE enum base_status eng_vocab_set_out(struct eng_vocab *vocab, size_t id, struct eng_bytes out,
                                                 struct base_error *error);

/* Makes eng_vocab_find work, for all searchable entries.
 * Errors: BASE_ERR_FORMAT naming two ids with one piece. */
BASE_MUST_USE enum base_status eng_vocab_index(struct eng_vocab *vocab, struct base_error *error);

/* The id of an indexed piece, -1 when there is none. */
int32_t eng_vocab_find(const struct eng_vocab *vocab, struct eng_bytes text);

/* Merges: what two neighbouring ids become, and how early. Zero-initialise. */
struct eng_merge {
    uint32_t rank; /* lower merges first */
    int32_t id;    /* -1: the pair does not merge */
};

struct eng_merge_slot {
    int32_t left;
    int32_t right;
    struct eng_merge merge;
    bool used;
};

struct eng_merges {
    struct eng_merge_slot *slots;
    size_t slot_mask;
    uint32_t count;
    uint64_t key;
};

BASE_MUST_USE enum base_status eng_merges_init(struct eng_merges *merges, size_t count, struct base_error *error);
void eng_merges_finish(struct eng_merges *merges);

/* Appends the next merge in rank order. Errors: BASE_ERR_FORMAT when the pair is there already or there is no room. */
BASE_MUST_USE enum base_status eng_merges_add(struct eng_merges *merges, int32_t left, int32_t right, int32_t id,
                                              struct base_error *error);
struct eng_merge eng_merges_find(const struct eng_merges *merges, int32_t left, int32_t right);

#endif
