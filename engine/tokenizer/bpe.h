/* The merge loop of byte pair encoding, for merges by rank and for merges by score. */
#ifndef CACHET_ENGINE_TOKENIZER_BPE_H
#define CACHET_ENGINE_TOKENIZER_BPE_H

#include "engine/tokenizer/buffer.h"
#include "engine/tokenizer/vocab.h"

/* Zero-initialise. */
struct eng_bpe {
    struct eng_vocab vocab;
    struct eng_merges merges; /* by rank; unused when scored */
    bool scored;              /* SentencePiece: neighbours merge when their text is a piece, best score first */
    bool byte_level;          /* every byte is a symbol; else every character */
    bool byte_fallback;       /* characters without a piece become byte tokens, when all of those exist */
    bool fuse_unk;            /* neighbouring unknown characters become one unk */
    bool ignore_merges;       /* a word that is a piece is that piece */
    int32_t unk;              /* -1: unknown characters vanish */
    int32_t byte_ids[256];    /* of each byte: byte-level symbols or fallback tokens; -1 for none */
};

void eng_bpe_finish(struct eng_bpe *bpe);

/* Working memory of one encoding, reused from word to word. Zero-initialise. */
struct eng_bpe_symbol;
struct eng_bpe_candidate;
struct eng_bpe_scratch {
    struct eng_bpe_symbol *symbols;
    struct eng_bpe_candidate *heap;
    size_t capacity; /* in symbols */
};

void eng_bpe_scratch_finish(struct eng_bpe_scratch *scratch);

/* Appends the ids of one word (valid UTF-8 unless byte_level).
 * Cost: O(n log n) for n bytes.
 * Source: Sennrich et al. 2016 (BPE); Kudo and Richardson 2018 (SentencePiece). */
BASE_MUST_USE enum base_status eng_bpe_encode(const struct eng_bpe *bpe, struct eng_bytes word,
                                              struct eng_bpe_scratch *scratch, struct eng_id_list *ret,
                                              struct base_error *error);

#endif
