#include "engine/tokenizer/utf8.h"

#include "engine/tokenizer/tokenizer.h"

#include <string.h>

enum { INVALID = 0 };

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Bytes of a sequence by its first two bytes, INVALID when no valid sequence begins so. `second` may be unknown: pass 0x80
 * with a lead byte for which every continuation is fine, as the caller checks by asking again when it arrives. */
static size_t sequence_length(uint8_t lead, uint8_t second)
{
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4 || !is_continuation(second))
        return INVALID;
    if (lead < 0xe0)
        return 2;
    if (lead < 0xf0)
        return (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second >= 0xa0) ? INVALID : 3;
    return (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second >= 0x90) ? INVALID : 4;
}

size_t eng_utf8_check(struct eng_bytes text)
{
    size_t i = 0;
    while (i < text.size) {
        size_t left = text.size - i;
        size_t length = sequence_length(text.data[i], left > 1 ? text.data[i + 1] : 0);
        if (length == INVALID || length > left)
            return i;
        for (size_t k = 2; k < length; k++)
            if (!is_continuation(text.data[i + k]))
                return i;
        i += length;
    }
    return i;
}

static size_t write_replacement(char *ret)
{
    memcpy(ret, "\xef\xbf\xbd", 3);
    return 3;
}

/* Could the held bytes still become a valid sequence, and how long would it be? */
static size_t held_length(const struct eng_utf8_stream *stream)
{
    if (stream->count == 1) {
        uint8_t lead = stream->held[0];
        if (lead < 0x80)
            return 1;
        return lead < 0xc2 || lead > 0xf4 ? INVALID : eng_utf8_length(lead);
    }
    size_t length = sequence_length(stream->held[0], stream->held[1]);
    return is_continuation(stream->held[stream->count - 1]) ? length : INVALID;
}

static size_t push_byte(struct eng_utf8_stream *stream, uint8_t byte, char *ret)
{
    size_t written = 0;
    stream->held[stream->count++] = byte;
    size_t length = held_length(stream);
    if (length == INVALID && stream->count > 1) {
        /* The new byte broke what was held; it may begin something of its own. */
        written += write_replacement(ret);
        stream->held[0] = byte;
        stream->count = 1;
        length = held_length(stream);
    }
    if (length == INVALID) {
        written += write_replacement(ret + written);
        stream->count = 0;
    } else if (length == stream->count) {
        memcpy(ret + written, stream->held, length);
        written += length;
        stream->count = 0;
    }
    return written;
}

size_t eng_utf8_push(struct eng_utf8_stream *stream, const uint8_t *bytes, size_t size, char *ret)
{
    size_t written = 0;
    for (size_t i = 0; i < size; i++)
        written += push_byte(stream, bytes[i], ret + written);
    return written;
}

size_t eng_utf8_flush(struct eng_utf8_stream *stream, char *ret)
{
    bool held = stream->count > 0;
    *stream = (struct eng_utf8_stream){0};
    return held ? write_replacement(ret) : 0;
}

/* The byte that a character of the byte-level alphabet stands for; -1 when it is none. */
static int alphabet_byte(uint32_t character)
{
    if ((character >= 0x21 && character <= 0x7e) || (character >= 0xa1 && character <= 0xff && character != 0xad))
        return (int)character;
    if (character < 0x100 || character > 0x143)
        return -1;
    int rank = (int)character - 0x100; /* among 0..0x20, 0x7f..0xa0, 0xad */
    if (rank <= 0x20)
        return rank;
    return rank < 67 ? rank - 0x21 + 0x7f : 0xad;
}

bool eng_byte_level_undo(struct eng_bytes written, uint8_t *ret, size_t *ret_size)
{
    size_t count = 0;
    for (size_t i = 0; i < written.size;) {
        uint32_t character = written.data[i++];
        if (character >= 0x80) {
            /* Only two-byte sequences can be in the alphabet. */
            if (character < 0xc2 || character > 0xdf || i == written.size || !is_continuation(written.data[i]))
                return false;
            character = (character & 0x1f) << 6 | (written.data[i++] & 0x3fu);
        }
        int byte = alphabet_byte(character);
        if (byte < 0)
            return false;
        ret[count++] = (uint8_t)byte;
    }
    *ret_size = count;
    return true;
}
