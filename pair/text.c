#include "pair/text.h"

#include "base/memory.h"

#include <string.h>

enum { AT_PARTY = 0, AT_ID = 4, AT_FORM = 20, AT_OWNER = 36, AT_STEPS = 68 };
static const uint64_t end_of_step = UINT64_MAX;

static void encode(const struct pair_text_about *a, uint8_t ret[PAIR_SEALED_ABOUT])
{
    const uint32_t form[] = {a->form.prompt_tokens, a->form.new_tokens, a->form.chunk, a->form.mode};
    memset(ret, 0, PAIR_SEALED_ABOUT);
    base_store_u32(ret + AT_PARTY, (uint32_t)a->party);
    memcpy(ret + AT_ID, a->id, sizeof a->id);
    for (size_t i = 0; i < 4; i++)
        base_store_u32(ret + AT_FORM + 4 * i, form[i]);
    memcpy(ret + AT_OWNER, a->owner, sizeof a->owner);
    base_store_u32(ret + AT_STEPS, a->steps);
}

static void decode(const uint8_t bytes[PAIR_SEALED_ABOUT], struct pair_text_about *ret)
{
    *ret = (struct pair_text_about){.party = (int)base_load_u32(bytes + AT_PARTY),
                                    .form = {base_load_u32(bytes + AT_FORM), base_load_u32(bytes + AT_FORM + 4), base_load_u32(bytes + AT_FORM + 8),
                                             base_load_u32(bytes + AT_FORM + 12)},
                                    .steps = base_load_u32(bytes + AT_STEPS)};
    memcpy(ret->id, bytes + AT_ID, sizeof ret->id);
    memcpy(ret->owner, bytes + AT_OWNER, sizeof ret->owner);
}

void pair_text_finish(struct pair_text *text)
{
    pair_sealed_finish(&text->file);
}

/* --- making ---------------------------------------------------------------------------------------------------------------------------- */

static enum base_status put_number(struct pair_text *text, uint64_t value, struct base_error *error)
{
    uint8_t bytes[8];
    base_store_u64(bytes, value);
    return pair_sealed_put(text->file, bytes, sizeof bytes, error);
}

enum base_status pair_text_create(struct pair_text *ret, const char *path, const uint8_t key[PAIR_SEALED_KEY], const struct pair_text_about *about,
                                  const struct pair_text_keys *keys, struct base_error *error)
{
    enum base_status status;
    struct pair_text text = {.about = *about};
    text.about.steps = 0;
    TRY(pair_sealed_create(&text.file, path, key, error));
    TRY(pair_sealed_put(text.file, keys->own, sizeof keys->own, error));
    TRY(pair_sealed_put(text.file, keys->input, sizeof keys->input, error));
    for (int i = 0; i < 2; i++)
        TRY(put_number(&text, keys->delta.word[i], error));
    *ret = text;
    text.file = NULL;
out:
    pair_text_finish(&text);
    return status;
}

enum base_status pair_text_keep(struct pair_text *text, struct pair_tape *tape, size_t rows, size_t answers, struct base_error *error)
{
    enum base_status status;
    uint8_t *record = NULL;
    size_t size;
    TRY(put_number(text, rows, error));
    TRY(put_number(text, answers, error));
    TRY(put_number(text, pair_tape_trees(tape), error));
    while (pair_tape_next(tape, &size)) {
        TRY(base_alloc(&record, size == 0 ? 1 : size, 1, error));
        TRY(pair_tape_take(tape, record, size, error));
        TRY(put_number(text, size, error));
        TRY(pair_sealed_put(text->file, record, size, error));
        base_free_secret(&record);
    }
    TRY(put_number(text, end_of_step, error));
    text->about.steps++;
out:
    base_free_secret(&record);
    return status;
}

enum base_status pair_text_close(struct pair_text *text, struct base_error *error)
{
    uint8_t about[PAIR_SEALED_ABOUT];
    encode(&text->about, about);
    return pair_sealed_close(text->file, about, error);
}

enum base_status pair_text_place(struct pair_text *text, struct base_error *error)
{
    return pair_sealed_place(&text->file, error);
}

/* --- using ----------------------------------------------------------------------------------------------------------------------------- */

enum base_status pair_text_look(const char *path, const uint8_t key[PAIR_SEALED_KEY], struct pair_text_about *ret, bool *ret_used, struct base_error *error)
{
    uint8_t about[PAIR_SEALED_ABOUT];
    enum pair_sealed_state state;
    enum base_status status = pair_sealed_look(path, key, &state, about, error);
    if (status != BASE_OK)
        return status;
    *ret_used = state == PAIR_SEALED_USED;
    decode(about, ret);
    return BASE_OK;
}

static enum base_status get_number(struct pair_text *text, uint64_t *ret, struct base_error *error)
{
    uint8_t bytes[8];
    enum base_status status = pair_sealed_get(text->file, bytes, sizeof bytes, error);
    *ret = status == BASE_OK ? base_load_u64(bytes) : 0;
    return status;
}

enum base_status pair_text_use(struct pair_text *ret, const char *path, const uint8_t key[PAIR_SEALED_KEY], struct pair_text_keys *ret_keys,
                               struct base_error *error)
{
    enum base_status status;
    uint8_t about[PAIR_SEALED_ABOUT];
    struct pair_text text = {0};
    struct pair_text_keys keys = {0};
    TRY(pair_sealed_open(&text.file, path, key, about, error));
    decode(about, &text.about);
    TRY(pair_sealed_get(text.file, keys.own, sizeof keys.own, error));
    TRY(pair_sealed_get(text.file, keys.input, sizeof keys.input, error));
    for (int i = 0; i < 2; i++)
        TRY(get_number(&text, &keys.delta.word[i], error));
    TRY(pair_sealed_use(text.file, error));
    *ret_keys = keys;
    *ret = text;
    text.file = NULL;
out:
    base_wipe(&keys, sizeof keys);
    pair_text_finish(&text);
    return status;
}

enum base_status pair_text_load(struct pair_text *text, struct pair_tape *tape, size_t rows, size_t answers, struct base_error *error)
{
    enum base_status status = BASE_OK;
    uint64_t made_rows, made_answers, trees, size;
    uint8_t *record = NULL;
    TRY_THAT(pair_sealed_left(text->file) > 0, error, BASE_ERR_CLOSED, "the text's %u steps are used up", text->about.steps);
    TRY(get_number(text, &made_rows, error));
    TRY(get_number(text, &made_answers, error));
    TRY(get_number(text, &trees, error));
    TRY_THAT(made_rows == rows && made_answers == answers, error, BASE_ERR_MISMATCH,
             "a step of %zu rows with %zu answers, and material for %llu with %llu", rows, answers, (unsigned long long)made_rows, (unsigned long long)made_answers);
    for (;;) {
        TRY(get_number(text, &size, error));
        if (size == end_of_step)
            break;
        TRY_THAT(size <= pair_sealed_left(text->file), error, BASE_ERR_FORMAT, "a record of %llu bytes, and %llu are left: the text is malformed",
                 (unsigned long long)size, (unsigned long long)pair_sealed_left(text->file));
        TRY(base_alloc(&record, size == 0 ? 1 : size, 1, error));
        TRY(pair_sealed_get(text->file, record, size, error));
        TRY(pair_tape_put(tape, record, size, trees, error));
        base_free_secret(&record);
    }
out:
    base_free_secret(&record);
    return status;
}
