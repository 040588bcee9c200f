#include "engine/tokenizer/bpe.h"

#include "base/memory.h"
#include "engine/tokenizer/utf8.h"

#include <limits.h>
#include <string.h>

/* One symbol of the word; symbols form a doubly linked list by index. A merge keeps the left symbol and empties the
 * right one. */
struct eng_bpe_symbol {
    uint32_t start; /* byte in the word */
    uint32_t size;  /* bytes; 0 when merged away */
    int32_t id;     /* -1: no piece */
    int32_t prev;
    int32_t next;
};

/* A possible merge of the symbol at `left` with its right neighbour. `order` sorts by priority, then from left to right;
 * a candidate is stale when the pair at its place no longer becomes `id`. */
struct eng_bpe_candidate {
    uint64_t order;
    int32_t id;
};

void eng_bpe_finish(struct eng_bpe *bpe)
{
    eng_vocab_finish(&bpe->vocab);
    eng_merges_finish(&bpe->merges);
}

void eng_bpe_scratch_finish(struct eng_bpe_scratch *scratch)
{
    base_free_secret(&scratch->symbols);
    base_free_secret(&scratch->heap);
    scratch->capacity = 0;
}

static enum base_status reserve(struct eng_bpe_scratch *scratch, size_t count, struct base_error *error)
{
    enum base_status status = BASE_OK;
    if (count <= scratch->capacity)
        return BASE_OK;
    size_t capacity = count < 64 ? 64 : count + count / 4;
    TRY_THAT(count < INT_MAX / 2, error, BASE_ERR_ARGUMENT, "a word of %zu bytes is too long to tokenize", count);
    eng_bpe_scratch_finish(scratch);
    TRY(base_alloc(&scratch->symbols, capacity, sizeof *scratch->symbols, error));
    /* Each merge removes one candidate and adds at most two, and there are fewer merges than symbols. */
    TRY(base_alloc(&scratch->heap, 2 * capacity, sizeof *scratch->heap, error));
    scratch->capacity = capacity;
out:
    return status;
}

static bool before(const struct eng_bpe_candidate *a, const struct eng_bpe_candidate *b)
{
    return a->order < b->order;
}

static void heap_sink(struct eng_bpe_candidate *heap, size_t count, size_t at)
{
    struct eng_bpe_candidate moved = heap[at];
    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && before(&heap[child + 1], &heap[child]))
            child++;
        if (!before(&heap[child], &moved))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

static void heap_push(struct eng_bpe_candidate *heap, size_t *count, struct eng_bpe_candidate added)
{
    size_t at = (*count)++;
    while (at > 0 && before(&added, &heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = added;
}

static struct eng_bpe_candidate heap_pop(struct eng_bpe_candidate *heap, size_t *count)
{
    struct eng_bpe_candidate top = heap[0];
    heap[0] = heap[--*count];
    if (*count > 0)
        heap_sink(heap, *count, 0);
    return top;
}

/* Higher scores become lower ranks: the bits of a float order like sign-magnitude integers. */
static uint32_t rank_of_score(float score)
{
    uint32_t bits;
    score += 0.0f; /* -0 ranks as 0 */
    memcpy(&bits, &score, sizeof bits);
    uint32_t ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return ~ascending;
}

/* What the symbol at `left` and its right neighbour become. */
static struct eng_merge look_up(const struct eng_bpe *bpe, struct eng_bytes word, const struct eng_bpe_symbol *symbols,
                                int32_t left)
{
    const struct eng_bpe_symbol *a = &symbols[left], *b = &symbols[a->next];
    if (!bpe->scored)
        return eng_merges_find(&bpe->merges, a->id, b->id);
    struct eng_bytes joined = {word.data + a->start, (size_t)a->size + b->size};
    int32_t id = eng_vocab_find(&bpe->vocab, joined);
    return (struct eng_merge){id < 0 ? 0 : rank_of_score(bpe->vocab.entries[id].score), id};
}

static bool make_candidate(const struct eng_bpe *bpe, struct eng_bytes word, const struct eng_bpe_symbol *symbols,
                           int32_t left, struct eng_bpe_candidate *ret)
{
    if (left < 0 || symbols[left].next < 0)
        return false;
    struct eng_merge merge = look_up(bpe, word, symbols, left);
    if (merge.id < 0)
        return false;
    *ret = (struct eng_bpe_candidate){(uint64_t)merge.rank << 32 | (uint32_t)left, merge.id};
    return true;
}

static void merge_all(const struct eng_bpe *bpe, struct eng_bytes word, struct eng_bpe_scratch *scratch, size_t count)
{
    struct eng_bpe_symbol *symbols = scratch->symbols;
    struct eng_bpe_candidate *heap = scratch->heap;
    size_t waiting = 0;
    for (size_t i = 0; i + 1 < count; i++)
        if (make_candidate(bpe, word, symbols, (int32_t)i, &heap[waiting]))
            waiting++;
    for (size_t i = waiting / 2; i-- > 0;)
        heap_sink(heap, waiting, i);
    while (waiting > 0) {
        struct eng_bpe_candidate best = heap_pop(heap, &waiting), fresh;
        int32_t left = (int32_t)(uint32_t)best.order;
        struct eng_bpe_symbol *a = &symbols[left];
        if (a->size == 0 || a->next < 0 || look_up(bpe, word, symbols, left).id != best.id)
            continue;
        struct eng_bpe_symbol *b = &symbols[a->next];
        a->size += b->size;
        a->id = best.id;
        a->next = b->next;
        b->size = 0;
        if (a->next >= 0)
            symbols[a->next].prev = left;
        if (make_candidate(bpe, word, symbols, a->prev, &fresh))
            heap_push(heap, &waiting, fresh);
        if (make_candidate(bpe, word, symbols, left, &fresh))
            heap_push(heap, &waiting, fresh);
    }
}

struct builder {
    const struct eng_bpe *bpe;
    struct eng_bpe_symbol *symbols;
    size_t count;
    size_t unknown_start; /* of a run of unknown characters that is not a symbol yet */
    size_t unknown_size;
};

static void add_symbol(struct builder *b, size_t start, size_t size, int32_t id)
{
    int32_t at = (int32_t)b->count++;
    b->symbols[at] = (struct eng_bpe_symbol){(uint32_t)start, (uint32_t)size, id, at - 1, at + 1};
}

static void flush_unknown(struct builder *b)
{
    if (b->unknown_size > 0 && b->bpe->unk >= 0)
        add_symbol(b, b->unknown_start, b->unknown_size, b->bpe->unk);
    b->unknown_size = 0;
}

static bool has_byte_tokens(const struct eng_bpe *bpe, struct eng_bytes bytes)
{
    if (!bpe->byte_fallback)
        return false;
    for (size_t i = 0; i < bytes.size; i++)
        if (bpe->byte_ids[bytes.data[i]] < 0)
            return false;
    return true;
}

/* A character becomes its piece, or byte tokens, or part of an unknown run. With scores, characters without a piece stay
 * symbols: a longer piece may contain them. */
static void add_character(struct builder *b, struct eng_bytes word, size_t start, size_t size)
{
    struct eng_bytes character = {word.data + start, size};
    int32_t id = eng_vocab_find(&b->bpe->vocab, character);
    if (id >= 0 || b->bpe->scored) {
        flush_unknown(b);
        add_symbol(b, start, size, id);
    } else if (has_byte_tokens(b->bpe, character)) {
        flush_unknown(b);
        for (size_t i = 0; i < size; i++)
            add_symbol(b, start + i, 1, b->bpe->byte_ids[character.data[i]]);
    } else {
        if (!b->bpe->fuse_unk)
            flush_unknown(b);
        if (b->unknown_size == 0)
            b->unknown_start = start;
        b->unknown_size += size;
    }
}

static size_t build_symbols(const struct eng_bpe *bpe, struct eng_bytes word, struct eng_bpe_symbol *symbols)
{
    struct builder b = {.bpe = bpe, .symbols = symbols};
    for (size_t i = 0; i < word.size;) {
        size_t size = bpe->byte_level ? 1 : eng_utf8_length(word.data[i]);
        if (size > word.size - i)
            size = word.size - i;
        if (!bpe->byte_level) {
            add_character(&b, word, i, size);
        } else if (bpe->byte_ids[word.data[i]] >= 0) {
            flush_unknown(&b);
            add_symbol(&b, i, 1, bpe->byte_ids[word.data[i]]);
        } else {
            if (!bpe->fuse_unk)
                flush_unknown(&b);
            b.unknown_start = b.unknown_size == 0 ? i : b.unknown_start;
            b.unknown_size++;
        }
        i += size;
    }
    flush_unknown(&b);
    if (b.count > 0)
        symbols[b.count - 1].next = -1;
    return b.count;
}

static enum base_status emit_symbol(const struct eng_bpe *bpe, struct eng_bytes word,
                                    const struct eng_bpe_symbol *symbol, bool *after_unknown, struct eng_id_list *ret,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_bytes text = {word.data + symbol->start, symbol->size};
    bool unknown = symbol->id < 0 && !has_byte_tokens(bpe, text);
    if (symbol->id >= 0) {
        TRY(eng_id_list_add(ret, symbol->id, error));
    } else if (!unknown) {
        for (size_t i = 0; i < text.size; i++)
            TRY(eng_id_list_add(ret, bpe->byte_ids[text.data[i]], error));
    } else if (bpe->unk >= 0 && !(*after_unknown && bpe->fuse_unk)) {
        TRY(eng_id_list_add(ret, bpe->unk, error));
    }
    *after_unknown = unknown;
out:
    return status;
}

enum base_status eng_bpe_encode(const struct eng_bpe *bpe, struct eng_bytes word, struct eng_bpe_scratch *scratch,
                                struct eng_id_list *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    bool after_unknown = false;
    int32_t whole = bpe->ignore_merges ? eng_vocab_find(&bpe->vocab, word) : -1;
    if (whole >= 0)
        return eng_id_list_add(ret, whole, error);
    TRY(reserve(scratch, word.size, error));
    size_t count = build_symbols(bpe, word, scratch->symbols);
    merge_all(bpe, word, scratch, count);
    for (int32_t at = count > 0 ? 0 : -1; at >= 0; at = scratch->symbols[at].next)
        TRY(emit_symbol(bpe, word, &scratch->symbols[at], &after_unknown, ret, error));
out:
    return status;
}
