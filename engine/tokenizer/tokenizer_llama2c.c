#include "engine/tokenizer/internal.h"

#include "base/memory.h"
#include "engine/formats/limits.h"

#include <math.h>
#include <string.h>

/* llama2.c's tokenizer.bin: an int32 of the longest piece, then for every token a float32 score, an int32 size and the
 * bytes. Pieces hold plain spaces. Ids are those of a Llama 2 SentencePiece model: unk, bos, eos, 256 bytes, pieces.
 * Source: github.com/karpathy/llama2.c, tokenizer.py, export; run.c, encode. */
enum { UNK = 0, BOS = 1, EOS = 2, FIRST_BYTE = 3, FIRST_PIECE = FIRST_BYTE + 256, RECORD = 8 };

struct record {
    float score;
    struct eng_bytes piece;
};

static enum base_status take_record(struct eng_bytes *rest, size_t id, struct record *ret, struct base_error *error)
{
    if (rest->size < RECORD)
        return base_fail(error, BASE_ERR_FORMAT, "token %zu: the file is truncated", id);
    uint32_t bits = base_load_u32(rest->data), size = base_load_u32(rest->data + 4);
    memcpy(&ret->score, &bits, sizeof ret->score);
    if (size == 0 || size > ENG_LIMIT_PIECE_BYTES || size > rest->size - RECORD)
        return base_fail(error, BASE_ERR_FORMAT, "token %zu: says %u bytes, but %zu remain and %u is the limit", id, size,
                         rest->size - RECORD, ENG_LIMIT_PIECE_BYTES);
    if (!isfinite(ret->score))
        return base_fail(error, BASE_ERR_FORMAT, "token %zu: its score is not a finite number", id);
    ret->piece = (struct eng_bytes){rest->data + RECORD, size};
    *rest = (struct eng_bytes){rest->data + RECORD + size, rest->size - RECORD - size};
    return BASE_OK;
}

/* The file does not say how many tokens it has: count them by walking. */
static enum base_status count_tokens(struct eng_bytes rest, size_t longest, size_t *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t count = 0;
    struct record record = {0};
    while (rest.size > 0) {
        TRY(take_record(&rest, count, &record, error));
        TRY_THAT(record.piece.size <= longest, error, BASE_ERR_FORMAT,
                 "token %zu has %zu bytes, but the header says at most %zu", count, record.piece.size, longest);
        count++;
    }
    TRY_THAT(count > FIRST_PIECE, error, BASE_ERR_FORMAT, "has %zu tokens; a llama2.c tokenizer has more than %d", count,
             (int)FIRST_PIECE);
    *ret = count;
out:
    return status;
}

static enum base_status put_token(struct eng_bpe *bpe, size_t id, const struct record *record, struct base_error *error)
{
    enum base_status status = BASE_OK;
    enum eng_entry_kind kind = id < FIRST_BYTE    ? ENG_ENTRY_SPECIAL
                               : id < FIRST_PIECE ? ENG_ENTRY_BYTE
                                                  : ENG_ENTRY_MODEL;
    TRY(eng_vocab_put(&bpe->vocab, id, record->piece, kind, error));
    bpe->vocab.entries[id].score = record->score;
    if (kind == ENG_ENTRY_BYTE) {
        const uint8_t byte = (uint8_t)(id - FIRST_BYTE);
        bpe->byte_ids[byte] = (int32_t)id;
        TRY(eng_vocab_set_out(&bpe->vocab, id, (struct eng_bytes){&byte, 1}, error));
    }
out:
    return status;
}

enum base_status eng_tokenizer_llama2c_parse(struct eng_tokenizer *ret, struct eng_bytes file, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t count = 0;
    struct record record = {0};
    TRY_THAT(file.size > 4, error, BASE_ERR_FORMAT, "has %zu bytes, too few for a llama2.c tokenizer", file.size);
    struct eng_bytes rest = {file.data + 4, file.size - 4};
    TRY(count_tokens(rest, base_load_u32(file.data), &count, error));
    TRY(eng_vocab_init(&ret->bpe.vocab, count, rest.size, error));
    for (size_t id = 0; id < count; id++) {
        TRY(take_record(&rest, id, &record, error));
        TRY(put_token(&ret->bpe, id, &record, error));
    }
    TRY(eng_vocab_index(&ret->bpe.vocab, error));
    ret->bpe.scored = ret->bpe.byte_fallback = true;
    ret->bpe.unk = UNK;
    ret->bos = BOS;
    ret->eos = EOS;
    ret->adds_bos = true;
    TRY(eng_normalizer_add(&ret->normalizer, ENG_NORMAL_PREPEND, NULL, " ", error));
    ret->decoder.strip = ' ';
    ret->decoder.strip_count = 1;
out:
    return status;
}
