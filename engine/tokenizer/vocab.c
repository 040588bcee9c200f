#include "engine/tokenizer/vocab.h"

#include "base/memory.h"
#include "engine/formats/limits.h"

#include <sodium.h>
#include <string.h>

/* A power of two with at most half of the slots used. */
static size_t slots_for(size_t count)
{
    size_t slots = 16;
    while (slots < 2 * count)
        slots *= 2;
    return slots;
}

enum base_status eng_vocab_init(struct eng_vocab *vocab, size_t count, size_t bytes, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_vocab made = {.count = count, .arena_size = bytes};
    TRY_THAT(sodium_init() >= 0, error, BASE_ERR_INTERNAL, "libsodium cannot start");
    TRY_THAT(count >= 1 && count <= ENG_LIMIT_VOCAB, error, BASE_ERR_SUPPORT,
             "the vocabulary has %zu tokens; cachet supports 1 to %u", count, ENG_LIMIT_VOCAB);
    TRY(base_alloc(&made.entries, count, sizeof *made.entries, error));
    TRY(base_alloc(&made.arena, bytes, 1, error));
    randombytes_buf(made.key, sizeof made.key);
    *vocab = made;
    made = (struct eng_vocab){0};
out:
    eng_vocab_finish(&made);
    return status;
}

void eng_vocab_finish(struct eng_vocab *vocab)
{
    base_free(&vocab->entries);
    base_free(&vocab->arena);
    base_free(&vocab->slots);
    *vocab = (struct eng_vocab){0};
}

static struct eng_bytes keep(struct eng_vocab *vocab, struct eng_bytes bytes)
{
    struct eng_bytes kept = {vocab->arena + vocab->arena_used, bytes.size};
    if (bytes.size > 0)
        memcpy(vocab->arena + vocab->arena_used, bytes.data, bytes.size);
    vocab->arena_used += bytes.size;
    return kept;
}

enum base_status eng_vocab_put(struct eng_vocab *vocab, size_t id, struct eng_bytes text, enum eng_entry_kind kind,
                               struct base_error *error)
{
    struct eng_printable shown = eng_printable(text.data, text.size);
    if (text.size == 0 || text.size > ENG_LIMIT_PIECE_BYTES)
        return base_fail(error, BASE_ERR_FORMAT, "token %zu has %zu bytes; 1 to %u are read", id, text.size,
                         ENG_LIMIT_PIECE_BYTES);
    if (id >= vocab->count)
        return base_fail(error, BASE_ERR_FORMAT, "token \"%s\" has id %zu, but there are %zu ids", shown.text, id,
                         vocab->count);
    if (vocab->entries[id].kind != ENG_ENTRY_NONE)
        return base_fail(error, BASE_ERR_FORMAT, "id %zu is given twice, to \"%s\" the second time", id, shown.text);
    if (text.size > vocab->arena_size - vocab->arena_used)
        return base_fail(error, BASE_ERR_INTERNAL, "the vocabulary needs more than its %zu bytes", vocab->arena_size);
    struct eng_bytes kept = keep(vocab, text);
    vocab->entries[id] =
        (struct eng_entry){.text = kept, .out = kept, .kind = kind, .searchable = kind == ENG_ENTRY_MODEL};
    return BASE_OK;
}

enum base_status eng_vocab_set_out(struct eng_vocab *vocab, size_t id, struct eng_bytes out, struct base_error *error)
{
    if (out.size > vocab->arena_size - vocab->arena_used)
        return base_fail(error, BASE_ERR_INTERNAL, "the vocabulary needs more than its %zu bytes", vocab->arena_size);
    vocab->entries[id].out = keep(vocab, out);
    return BASE_OK;
}

static size_t hash_piece(const struct eng_vocab *vocab, struct eng_bytes text)
{
    uint8_t hash[crypto_shorthash_BYTES];
    (void)crypto_shorthash(hash, text.data, text.size, vocab->key);
    return (size_t)base_load_u64(hash) & vocab->slot_mask;
}

static bool same(struct eng_bytes a, struct eng_bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

enum base_status eng_vocab_index(struct eng_vocab *vocab, struct base_error *error)
{
    size_t slots = slots_for(vocab->count);
    enum base_status status = base_alloc(&vocab->slots, slots, sizeof *vocab->slots, error);
    if (status != BASE_OK)
        return status;
    vocab->slot_mask = slots - 1;
    for (size_t id = 0; id < vocab->count; id++) {
        const struct eng_entry *entry = &vocab->entries[id];
        if (!entry->searchable)
            continue;
        size_t slot = hash_piece(vocab, entry->text);
        for (; vocab->slots[slot] != 0; slot = (slot + 1) & vocab->slot_mask)
            if (same(vocab->entries[vocab->slots[slot] - 1].text, entry->text))
                return base_fail(error, BASE_ERR_FORMAT, "tokens %u and %zu are the same piece \"%s\"",
                                 vocab->slots[slot] - 1, id, eng_printable(entry->text.data, entry->text.size).text);
        vocab->slots[slot] = (uint32_t)id + 1;
        vocab->longest = entry->text.size > vocab->longest ? entry->text.size : vocab->longest;
    }
    return BASE_OK;
}

int32_t eng_vocab_find(const struct eng_vocab *vocab, struct eng_bytes text)
{
    if (text.size == 0 || text.size > vocab->longest)
        return -1;
    for (size_t slot = hash_piece(vocab, text); vocab->slots[slot] != 0; slot = (slot + 1) & vocab->slot_mask)
        if (same(vocab->entries[vocab->slots[slot] - 1].text, text))
            return (int32_t)(vocab->slots[slot] - 1);
    return -1;
}

enum base_status eng_merges_init(struct eng_merges *merges, size_t count, struct base_error *error)
{
    if (count > ENG_LIMIT_MERGES)
        return base_fail(error, BASE_ERR_SUPPORT, "there are %zu merges; cachet supports up to %u", count,
                         ENG_LIMIT_MERGES);
    size_t slots = slots_for(count);
    enum base_status status = base_alloc(&merges->slots, slots, sizeof *merges->slots, error);
    if (status != BASE_OK)
        return status;
    merges->slot_mask = slots - 1;
    merges->count = 0;
    randombytes_buf(&merges->key, sizeof merges->key);
    return BASE_OK;
}

void eng_merges_finish(struct eng_merges *merges)
{
    base_free(&merges->slots);
    *merges = (struct eng_merges){0};
}

static size_t hash_pair(const struct eng_merges *merges, int32_t left, int32_t right)
{
    uint64_t mixed = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) ^ merges->key;
    mixed = (mixed ^ mixed >> 32) * 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 29) * 0xbf58476d1ce4e5b9u;
    return (size_t)(mixed ^ mixed >> 32) & merges->slot_mask;
}

static struct eng_merge_slot *find_slot(const struct eng_merges *merges, int32_t left, int32_t right)
{
    size_t slot = hash_pair(merges, left, right);
    while (merges->slots[slot].used && (merges->slots[slot].left != left || merges->slots[slot].right != right))
        slot = (slot + 1) & merges->slot_mask;
    return &merges->slots[slot];
}

enum base_status eng_merges_add(struct eng_merges *merges, int32_t left, int32_t right, int32_t id,
                                struct base_error *error)
{
    struct eng_merge_slot *slot = find_slot(merges, left, right);
    if (slot->used || 2 * (size_t)merges->count > merges->slot_mask)
        return base_fail(error, BASE_ERR_FORMAT, "merge %u repeats the pair of merge %u", merges->count,
                         slot->merge.rank);
    *slot = (struct eng_merge_slot){left, right, {merges->count++, id}, true};
    return BASE_OK;
}

struct eng_merge eng_merges_find(const struct eng_merges *merges, int32_t left, int32_t right)
{
    const struct eng_merge_slot *slot = left < 0 || right < 0 ? NULL : find_slot(merges, left, right);
    return slot != NULL && slot->used ? slot->merge : (struct eng_merge){.id = -1};
}
