#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/tokenizer/document.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A small sound document; cases replace parts of it. Single quotes stand for double ones. */
static const char sound[] = "{'model': {'type': 'BPE', 'vocab': {'<unk>': 0, 'a': 1, 'b': 2, 'ab': 3}, "
                            "'merges': ['a b'], 'unk_token': '<unk>'},"
                            " 'added_tokens': [{'id': 4, 'content': '<s>', 'special': true}], 'normalizer': "
                            "null, 'pre_tokenizer': null,"
                            " 'post_processor': null, 'decoder': {'type': 'Fuse'}}";

static json_t *parse_quoted(const char *text)
{
    json_error_t trouble;
    char *copy = strdup(text);
    assert_non_null(copy);
    for (char *at = copy; *at != '\0'; at++)
        *at = *at == '\'' ? '"' : *at;
    json_t *json = json_loads(copy, 0, &trouble);
    if (json == NULL)
        (void)fprintf(stderr, "%s: %s\n", text, trouble.text);
    assert_non_null(json);
    free(copy);
    return json;
}

/* Replaces the fields that the patch has; "DELETE" takes one away. "model" is changed field by field. */
static void patch_object(json_t *object, const json_t *patch)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)patch, key, value)
    {
        const char *text = json_string_value(value);
        if (text != NULL && strcmp(text, "DELETE") == 0)
            assert_int_equal(json_object_del(object, key), 0);
        else if (strcmp(key, "model") == 0 && json_is_object(value))
            patch_object(json_object_get(object, key), value);
        else
            assert_int_equal(json_object_set(object, key, value), 0);
    }
}

char *document_patched(const char *patch)
{
    json_t *document = parse_quoted(sound), *changes = parse_quoted(patch);
    patch_object(document, changes);
    char *text = json_dumps(document, 0);
    assert_non_null(text);
    json_decref(document);
    json_decref(changes);
    return text;
}
