/* UTF-8 and the byte-level alphabet. */
#ifndef CACHET_ENGINE_TOKENIZER_UTF8_H
#define CACHET_ENGINE_TOKENIZER_UTF8_H

#include "engine/formats/text.h"

/* Offset of the first byte that is not part of a valid sequence (no surrogates, no overlong forms, up to U+10FFFF);
 * the size when all are valid. */
size_t eng_utf8_check(struct eng_bytes text);

/* Bytes of the sequence that starts with this lead byte of valid UTF-8. */
static inline size_t eng_utf8_length(uint8_t lead)
{
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* Byte-level BPE writes each byte as one printable character, so that vocabularies are readable text: printable Latin-1
 * bytes stand for themselves, the other 68 for U+0100 and up in order. Undoes that: writes the bytes of `written` to ret
 * (room for written.size) and their count to *ret_size. False when a character is none of the 256.
 * Source: GPT-2, encoder.py, bytes_to_unicode. */
bool eng_byte_level_undo(struct eng_bytes written, uint8_t *ret, size_t *ret_size);

#endif
