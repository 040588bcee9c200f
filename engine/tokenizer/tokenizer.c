#include "engine/tokenizer/internal.h"

#include "base/memory.h"
#include "engine/formats/gguf.h"
#include "engine/tokenizer/utf8.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void eng_tokenizer_finish(struct eng_tokenizer *tokenizer)
{
    eng_added_finish(&tokenizer->raw_added);
    eng_added_finish(&tokenizer->normal_added);
    eng_pretokenizer_finish(&tokenizer->pretokenizer);
    eng_bpe_finish(&tokenizer->bpe);
}

void eng_tokenizer_close(struct eng_tokenizer **tokenizer)
{
    if (*tokenizer != NULL)
        eng_tokenizer_finish(*tokenizer);
    base_free(tokenizer);
}

typedef enum base_status (*reader_fn)(struct eng_tokenizer *, struct eng_bytes, struct base_error *);

/* Maps a file, reads it, and puts its path before an error. */
static enum base_status read_file(struct eng_tokenizer *ret, const char *path, reader_fn reader, size_t limit,
                                  struct base_error *error)
{
    struct base_file map = {0};
    enum base_status status = eng_file_map(&map, path, limit, error);
    if (status != BASE_OK)
        return status;
    status = reader(ret, eng_bytes_of(&map), error);
    if (status != BASE_OK)
        base_error_prefix(error, "%s", path);
    base_file_unmap(&map);
    return status;
}

static enum base_status open_directory(struct eng_tokenizer *ret, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char full[PATH_MAX];
    TRY(eng_path_join(full, sizeof full, path, "tokenizer.json", error));
    TRY(read_file(ret, full, eng_tokenizer_json_parse, ENG_LIMIT_JSON_BYTES, error));
    TRY(eng_path_join(full, sizeof full, path, "tokenizer_config.json", error));
    if (access(full, F_OK) == 0)
        TRY(read_file(ret, full, eng_tokenizer_config_parse, ENG_LIMIT_JSON_BYTES, error));
out:
    return status;
}

static bool begins_with_brace(struct eng_bytes file)
{
    size_t i = 0;
    while (i < file.size && i < 64 && (file.data[i] == ' ' || (file.data[i] >= 9 && file.data[i] <= 13)))
        i++;
    return i + 1 < file.size && file.data[i] == '{' && file.data[i + 1] != 0;
}

/* Tells the formats of single files apart by how they begin. */
static enum base_status read_any(struct eng_tokenizer *ret, struct eng_bytes file, struct base_error *error)
{
    if (eng_gguf_matches(file))
        return eng_tokenizer_gguf_parse(ret, file, error);
    if (!begins_with_brace(file))
        return eng_tokenizer_llama2c_parse(ret, file, error);
    if (file.size > ENG_LIMIT_JSON_BYTES)
        return base_fail(error, BASE_ERR_SUPPORT, "has %zu bytes; cachet reads up to %u", file.size,
                         ENG_LIMIT_JSON_BYTES);
    return eng_tokenizer_json_parse(ret, file, error);
}

enum base_status eng_tokenizer_open(struct eng_tokenizer **ret, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_tokenizer *tokenizer = NULL;
    struct stat info;
    TRY_THAT(stat(path, &info) == 0, error, BASE_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    TRY(base_alloc(&tokenizer, 1, sizeof *tokenizer, error));
    if (S_ISDIR(info.st_mode))
        TRY(open_directory(tokenizer, path, error));
    else
        TRY(read_file(tokenizer, path, read_any, SIZE_MAX, error));
    *ret = tokenizer;
    tokenizer = NULL;
out:
    eng_tokenizer_close(&tokenizer);
    return status;
}

size_t eng_tokenizer_vocabulary(const struct eng_tokenizer *tokenizer)
{
    return tokenizer->bpe.vocab.count;
}

int32_t eng_tokenizer_bos(const struct eng_tokenizer *tokenizer)
{
    return tokenizer->bos;
}

int32_t eng_tokenizer_eos(const struct eng_tokenizer *tokenizer)
{
    return tokenizer->eos;
}

bool eng_tokenizer_adds_bos(const struct eng_tokenizer *tokenizer)
{
    return tokenizer->adds_bos;
}

void eng_tokens_finish(struct eng_tokens *tokens)
{
    base_free_secret(&tokens->ids);
    tokens->count = 0;
}

void eng_tokenizer_find_bytes(struct eng_bpe *bpe)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        const uint8_t text = (uint8_t)byte;
        bpe->byte_ids[byte] = eng_vocab_find(&bpe->vocab, (struct eng_bytes){&text, 1});
    }
}

enum base_status eng_tokenizer_put_byte_level(struct eng_vocab *vocab, size_t id, struct eng_bytes written,
                                              struct base_error *error)
{
    uint8_t bytes[ENG_LIMIT_PIECE_BYTES];
    struct eng_bytes text = {bytes, 0};
    if (written.size > sizeof bytes || !eng_byte_level_undo(written, bytes, &text.size))
        return eng_vocab_put(vocab, id, written, ENG_ENTRY_ADDED, error);
    return eng_vocab_put(vocab, id, text, ENG_ENTRY_MODEL, error);
}

enum base_status eng_tokenizer_decode_piece(const struct eng_tokenizer *tokenizer, int32_t prev, int32_t id,
                                            struct eng_piece *ret, struct base_error *error)
{
    const struct eng_vocab *vocab = &tokenizer->bpe.vocab;
    if (id < 0 || (size_t)id >= vocab->count)
        return base_fail(error, BASE_ERR_ARGUMENT, "a token id lies outside the vocabulary of %zu", vocab->count);
    const struct eng_entry *entry = &vocab->entries[id];
    struct eng_bytes out = entry->out;
    if (entry->kind == ENG_ENTRY_NONE || entry->kind == ENG_ENTRY_SPECIAL)
        out = (struct eng_bytes){0};
    bool first = prev < 0 || prev == tokenizer->bos;
    for (size_t i = 0; first && i < tokenizer->decoder.strip_count && out.size > 0; i++) {
        if (out.data[0] != (uint8_t)tokenizer->decoder.strip)
            break;
        out.data++;
        out.size--;
    }
    *ret = (struct eng_piece){out.data, out.size};
    return BASE_OK;
}
