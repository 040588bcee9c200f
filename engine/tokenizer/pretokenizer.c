#include "engine/tokenizer/pretokenizer.h"

#include "engine/tokenizer/pattern.h"
#include "engine/tokenizer/stages.h"
#include "engine/tokenizer/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

const char *const eng_gpt2_regex =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* Bounds of one match: a long run of spaces needs a few steps per byte, a pattern that explodes needs far more. */
enum { MATCH_STEPS = 400 * 1000 * 1000, MATCH_HEAP_KIB = 512 * 1024 };

void eng_pretokenizer_finish(struct eng_pretokenizer *pretokenizer)
{
    for (size_t i = 0; i < pretokenizer->count; i++)
        pcre2_code_free(pretokenizer->stages[i].pattern);
    *pretokenizer = (struct eng_pretokenizer){0};
}

static enum base_status add_stage(struct eng_pretokenizer *ret, struct eng_split_stage stage, struct base_error *error)
{
    if (ret->count == ENG_LIMIT_PIPELINE_STAGES) {
        pcre2_code_free(stage.pattern);
        return base_fail(error, BASE_ERR_SUPPORT, "the pre-tokenizer has more than %u steps",
                         ENG_LIMIT_PIPELINE_STAGES);
    }
    ret->stages[ret->count++] = stage;
    return BASE_OK;
}

/* Compiles `pattern` into a stage that has all else. */
static enum base_status add_pattern(struct eng_pretokenizer *ret, struct eng_split_stage stage, const char *pattern,
                                    bool literal, struct base_error *error)
{
    stage.kind = ENG_SPLIT_PATTERN;
    enum base_status status = eng_pattern_compile(pattern, literal, &stage.pattern, error);
    return status != BASE_OK ? status : add_stage(ret, stage, error);
}

enum base_status eng_pretokenizer_add_regex(struct eng_pretokenizer *pretokenizer, const char *regex,
                                            struct base_error *error)
{
    return add_pattern(pretokenizer, (struct eng_split_stage){.behavior = ENG_SPLIT_ISOLATED}, regex,
                       false, error);
}

static enum base_status parse_behavior(const json_t *json, enum eng_split_behavior *ret, struct base_error *error)
{
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    const char *name = json_string_value(json_object_get(json, "behavior"));
    for (size_t i = 0; name != NULL && i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) == 0) {
            *ret = (enum eng_split_behavior)i;
            return BASE_OK;
        }
    }
    return base_fail(error, BASE_ERR_FORMAT, "pre_tokenizer Split: behavior is %s, which does not exist",
                     eng_json_show(json_object_get(json, "behavior")).text);
}

static enum base_status parse_split(struct eng_pretokenizer *ret, const json_t *json, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_split_stage stage = {0};
    const json_t *pattern = json_object_get(json, "pattern");
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    const char *literal = json_string_value(json_object_get(pattern, "String"));
    TRY_THAT((regex == NULL) != (literal == NULL), error, BASE_ERR_FORMAT,
             "pre_tokenizer Split: pattern is neither {\"Regex\": ...} nor {\"String\": ...}");
    TRY(parse_behavior(json, &stage.behavior, error));
    TRY(eng_json_bool(json, "invert", false, &stage.invert, error));
    if (regex != NULL)
        TRY(add_pattern(ret, stage, regex, false, error));
    else
        TRY(add_pattern(ret, stage, literal, true, error));
out:
    return status;
}

static enum base_status parse_byte_level(struct eng_pretokenizer *ret, const json_t *json, struct base_error *error)
{
    enum base_status status = BASE_OK;
    bool prefix = false, regex = true;
    TRY(eng_json_bool(json, "add_prefix_space", true, &prefix, error));
    TRY(eng_json_bool(json, "use_regex", true, &regex, error));
    if (prefix)
        TRY(add_stage(ret, (struct eng_split_stage){.kind = ENG_SPLIT_PREPEND, .text = " "}, error));
    if (regex)
        TRY(eng_pretokenizer_add_regex(ret, eng_gpt2_regex, error));
    ret->byte_level = true;
out:
    return status;
}

static enum base_status parse_metaspace(struct eng_pretokenizer *ret, const json_t *json, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const char *replacement = NULL, *scheme = NULL;
    bool old_prefix = true, split = true;
    struct eng_split_stage stage = {.kind = ENG_SPLIT_REPLACE};
    TRY(eng_json_string(json, "replacement", "\xe2\x96\x81", &replacement, error));
    TRY(eng_json_bool(json, "add_prefix_space", true, &old_prefix, error));
    TRY(eng_json_string(json, "prepend_scheme", old_prefix ? "always" : "never", &scheme, error));
    TRY(eng_json_bool(json, "split", true, &split, error));
    TRY_THAT(replacement[0] != '\0' && strlen(replacement) == eng_utf8_length((uint8_t)replacement[0]), error,
             BASE_ERR_FORMAT, "pre_tokenizer Metaspace: replacement is \"%s\"; it must be a single character",
             eng_printable_string(replacement).text);
    TRY_THAT(strcmp(scheme, "always") == 0 || strcmp(scheme, "first") == 0 || strcmp(scheme, "never") == 0, error,
             BASE_ERR_FORMAT, "pre_tokenizer Metaspace: prepend_scheme is \"%s\", which does not exist",
             eng_printable_string(scheme).text);
    memcpy(stage.text, replacement, strlen(replacement));
    TRY(add_stage(ret, stage, error));
    stage.kind = ENG_SPLIT_PREPEND;
    stage.first_only = strcmp(scheme, "first") == 0;
    if (strcmp(scheme, "never") != 0)
        TRY(add_stage(ret, stage, error));
    if (split)
        TRY(add_pattern(ret, (struct eng_split_stage){.behavior = ENG_SPLIT_MERGED_WITH_NEXT}, replacement,
                        true, error));
out:
    return status;
}

static enum base_status parse_digits(struct eng_pretokenizer *ret, const json_t *json, struct base_error *error)
{
    bool individual = false;
    enum base_status status = eng_json_bool(json, "individual_digits", false, &individual, error);
    return status != BASE_OK ? status : eng_pretokenizer_add_regex(ret, individual ? "\\p{N}" : "\\p{N}+", error);
}

static enum base_status parse_stage(struct eng_pretokenizer *ret, const json_t *json, struct base_error *error)
{
    static const struct {
        const char *type;
        enum base_status (*parse)(struct eng_pretokenizer *, const json_t *, struct base_error *);
    } types[] = {{"Split", parse_split},
                 {"ByteLevel", parse_byte_level},
                 {"Metaspace", parse_metaspace},
                 {"Digits", parse_digits}};
    const char *type = json_string_value(json_object_get(json, "type"));
    if (type == NULL)
        return base_fail(error, BASE_ERR_FORMAT, "pre_tokenizer has no type");
    if (ret->byte_level)
        return base_fail(error, BASE_ERR_SUPPORT, "pre_tokenizer %s comes after ByteLevel; cachet supports it before",
                         eng_printable_string(type).text);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].type, type) == 0)
            return types[i].parse(ret, json, error);
    return base_fail(error, BASE_ERR_SUPPORT,
                     "pre_tokenizer type is \"%s\"; cachet supports ByteLevel, Split, Digits, Metaspace, Sequence",
                     eng_printable_string(type).text);
}

enum base_status eng_pretokenizer_parse(struct eng_pretokenizer *ret, const json_t *json, struct base_error *error)
{
    enum base_status status = BASE_OK;
    if (json == NULL || json_is_null(json))
        goto out;
    TRY(eng_stages_check(json, "pre_tokenizer", "pretokenizers", error));
    for (size_t i = 0; i < eng_json_stages(json, "pretokenizers"); i++)
        TRY(parse_stage(ret, eng_json_stage(json, "pretokenizers", i), error));
out:
    return status;
}

/* One run over a text: matching state per stage, and where the words go. */
struct run {
    const struct eng_pretokenizer *pretokenizer;
    const struct eng_word_sink *sink;
    struct base_error *error;
    pcre2_match_context *limits;
    pcre2_match_data *matches[ENG_LIMIT_PIPELINE_STAGES];
};

static enum base_status run_stage(struct run *run, size_t stage, struct eng_bytes piece, bool at_start);

/* A stretch of text that may still grow by its neighbour, as the behaviour says. */
struct pending {
    size_t begin;
    size_t end;
    bool ends_in_match;
};

static bool joins(enum eng_split_behavior behavior, const struct pending *pending, bool is_match)
{
    switch (behavior) {
    case ENG_SPLIT_MERGED_WITH_PREVIOUS:
        return is_match && !pending->ends_in_match;
    case ENG_SPLIT_MERGED_WITH_NEXT:
        return pending->ends_in_match && !is_match;
    case ENG_SPLIT_CONTIGUOUS:
        return pending->ends_in_match == is_match;
    case ENG_SPLIT_ISOLATED:
    case ENG_SPLIT_REMOVED:
        break;
    }
    return false;
}

struct splitter {
    struct run *run;
    size_t stage;
    struct eng_bytes piece;
    bool at_start;
    struct pending pending;
};

static enum base_status emit_pending(struct splitter *s)
{
    struct pending p = s->pending;
    s->pending = (struct pending){p.end, p.end, false};
    if (p.begin == p.end)
        return BASE_OK;
    return run_stage(s->run, s->stage + 1, (struct eng_bytes){s->piece.data + p.begin, p.end - p.begin},
                     s->at_start && p.begin == 0);
}

static enum base_status take(struct splitter *s, size_t begin, size_t end, bool is_match)
{
    const struct eng_split_stage *stage = &s->run->pretokenizer->stages[s->stage];
    enum base_status status = BASE_OK;
    is_match = is_match != stage->invert;
    if (begin == end)
        return BASE_OK;
    if (s->pending.begin == s->pending.end || !joins(stage->behavior, &s->pending, is_match)) {
        TRY(emit_pending(s));
        s->pending = (struct pending){begin, end, is_match};
        if (stage->behavior == ENG_SPLIT_REMOVED && is_match)
            s->pending.begin = end;
    } else {
        s->pending.end = end;
        s->pending.ends_in_match = is_match;
    }
out:
    return status;
}

static enum base_status name_match_failure(int code, struct base_error *error)
{
    PCRE2_UCHAR reason[128] = {0};
    (void)pcre2_get_error_message(code, reason, sizeof reason);
    return base_fail(error, code == PCRE2_ERROR_NOMEMORY ? BASE_ERR_MEMORY : BASE_ERR_SUPPORT,
                     "the tokenizer's split pattern gives up on this text: %s", (const char *)reason);
}

static enum base_status run_pattern(struct run *run, size_t index, struct eng_bytes piece, bool at_start)
{
    enum base_status status = BASE_OK;
    const struct eng_split_stage *stage = &run->pretokenizer->stages[index];
    struct splitter splitter = {.run = run, .stage = index, .piece = piece, .at_start = at_start};
    size_t done = 0, from = 0;
    if (run->matches[index] == NULL)
        run->matches[index] = pcre2_match_data_create(1, NULL);
    TRY_THAT(run->matches[index] != NULL, run->error, BASE_ERR_MEMORY, "no memory to match a split pattern");
    while (from < piece.size) {
        int found = pcre2_match(stage->pattern, piece.data, piece.size, from, PCRE2_NO_UTF_CHECK, run->matches[index],
                                run->limits);
        if (found == PCRE2_ERROR_NOMATCH)
            break;
        if (found < 0) {
            status = name_match_failure(found, run->error);
            goto out;
        }
        const PCRE2_SIZE *range = pcre2_get_ovector_pointer(run->matches[index]);
        size_t begin = range[0], end = range[1];
        /* A pattern may set its match back before the start (\K in a lookbehind), or match nothing: move on then. */
        if (begin < from || end <= begin) {
            do
                from++;
            while (from < piece.size && (piece.data[from] & 0xc0) == 0x80);
            continue;
        }
        TRY(take(&splitter, done, begin, false));
        TRY(take(&splitter, begin, end, true));
        done = from = end;
    }
    TRY(take(&splitter, done, piece.size, false));
    TRY(emit_pending(&splitter));
out:
    return status;
}

static enum base_status run_rewrite(struct run *run, size_t index, struct eng_bytes piece, bool at_start)
{
    enum base_status status = BASE_OK;
    const struct eng_split_stage *stage = &run->pretokenizer->stages[index];
    const struct eng_bytes text = {(const uint8_t *)stage->text, strlen(stage->text)};
    struct eng_rewrite rewrite = {.prefix = text};
    struct eng_buffer work = {0};
    if (stage->kind == ENG_SPLIT_REPLACE) {
        rewrite = (struct eng_rewrite){.from = {(const uint8_t *)" ", 1}, .to = text};
    } else if ((stage->first_only && !at_start) ||
               (piece.size >= text.size && memcmp(piece.data, text.data, text.size) == 0)) {
        return run_stage(run, index + 1, piece, at_start);
    }
    TRY(eng_buffer_rewrite(&work, piece, &rewrite, run->error));
    TRY(run_stage(run, index + 1, eng_buffer_bytes(&work), at_start));
out:
    eng_buffer_finish(&work);
    return status;
}

/* Hands a piece through stage after stage; the depth is the number of stages. */
static enum base_status run_stage(struct run *run, size_t stage, struct eng_bytes piece, bool at_start)
{
    if (stage == run->pretokenizer->count)
        return run->sink->word(run->sink->context, piece, run->error);
    if (run->pretokenizer->stages[stage].kind == ENG_SPLIT_PATTERN)
        return run_pattern(run, stage, piece, at_start);
    return run_rewrite(run, stage, piece, at_start);
}

enum base_status eng_pretokenizer_run(const struct eng_pretokenizer *pretokenizer, struct eng_bytes text, bool at_start,
                                      const struct eng_word_sink *sink, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct run run = {.pretokenizer = pretokenizer, .sink = sink, .error = error};
    if (text.size == 0)
        return BASE_OK;
    run.limits = pcre2_match_context_create(NULL);
    TRY_THAT(run.limits != NULL, error, BASE_ERR_MEMORY, "no memory to match a split pattern");
    (void)pcre2_set_match_limit(run.limits, MATCH_STEPS);
    (void)pcre2_set_heap_limit(run.limits, MATCH_HEAP_KIB);
    TRY(run_stage(&run, 0, text, at_start));
out:
    for (size_t i = 0; i < pretokenizer->count; i++)
        pcre2_match_data_free(run.matches[i]);
    pcre2_match_context_free(run.limits);
    return status;
}
