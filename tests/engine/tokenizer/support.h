/* What the tokenizer tests share: paths from the source root, temporary files, checks of error texts. Include
 * after cmocka's headers. */
#ifndef CACHET_TESTS_ENGINE_TOKENIZER_SUPPORT_H
#define CACHET_TESTS_ENGINE_TOKENIZER_SUPPORT_H

#include "engine/tokenizer/tokenizer.h"
#include "tests/support/failures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOK_PATH = 4096 };

/* A path below the root of the source tree. */
static inline const char *path_in_source(const char *path, char ret[TOK_PATH])
{
    int size = snprintf(ret, TOK_PATH, "%s/%s", CACHET_SOURCE_DIR, path);
    assert_true(size > 0 && size < TOK_PATH);
    return ret;
}

static inline struct eng_tokenizer *open_in_source(const char *path)
{
    char full[TOK_PATH];
    struct base_error error = {0};
    struct eng_tokenizer *tokenizer = NULL;
    check_ok(eng_tokenizer_open(&tokenizer, path_in_source(path, full), &error), &error);
    assert_non_null(tokenizer);
    return tokenizer;
}

/* Writes a file of this content where temporary files go; remove it with unlink. */
static inline void write_temporary(const void *bytes, size_t size, char ret[TOK_PATH])
{
    const char *directory = getenv("TMPDIR");
    int length =
        snprintf(ret, TOK_PATH, "%s/cachet-tokenizer-XXXXXX", directory == NULL ? P_tmpdir : directory);
    assert_true(length > 0 && length < TOK_PATH);
    int file = mkstemp(ret);
    assert_true(file >= 0);
    assert_int_equal(write(file, bytes, size), (ssize_t)size);
    assert_int_equal(close(file), 0);
}

#endif
