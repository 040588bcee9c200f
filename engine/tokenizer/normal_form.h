/* Unicode normal forms, in O(n) also for long runs of combining marks: utf8proc's own ordering of marks is
 * quadratic. */
#ifndef CACHET_ENGINE_TOKENIZER_NORMAL_FORM_H
#define CACHET_ENGINE_TOKENIZER_NORMAL_FORM_H

#include "engine/tokenizer/buffer.h"

/* Writes the normal form of valid UTF-8 to ret, which may hold the text. `options` are those of utf8proc:
 * COMPOSE or DECOMPOSE, with or without COMPAT, and STABLE. Errors: BASE_ERR_MEMORY, BASE_ERR_INTERNAL.
 * Source: Unicode Standard Annex 15; the Canonical Ordering Algorithm of the Unicode Standard, 3.11. */
BASE_MUST_USE enum base_status eng_normal_form(int options, struct eng_bytes text, struct eng_buffer *ret,
                                               struct base_error *error);

#endif
