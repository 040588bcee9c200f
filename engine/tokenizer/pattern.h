/* Split patterns: regular expressions as tokenizer.json means them, compiled by PCRE2. */
#ifndef CACHET_ENGINE_TOKENIZER_PATTERN_H
#define CACHET_ENGINE_TOKENIZER_PATTERN_H

#include "engine/formats/text.h"

/* Compiles a regular expression, or a literal text. *ret is a pcre2_code, for pcre2_code_free.
 *
 * Patterns are written for Oniguruma: \s is White_Space (PCRE2's own also has U+180E), and ^ and $ match at
 * lines. What would silently mean something else in PCRE2 is refused: \w \W \b \B \h \H, the flag m, and &&
 * in a class. Errors: BASE_ERR_SUPPORT (such a construct; a length; PCRE2's reason and offset). */
BASE_MUST_USE enum base_status eng_pattern_compile(const char *pattern, bool literal, void **ret,
                                                   struct base_error *error);

#endif
