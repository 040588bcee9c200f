#include "net/frame.h"

#include "base/memory.h"
#include "base/text.h"
#include "net/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void net_frame_encode(const struct net_frame *frame, uint8_t ret_header[NET_FRAME_HEADER])
{
    base_store_u32(ret_header, NET_FRAME_MAGIC);
    ret_header[4] = NET_FRAME_VERSION;
    ret_header[5] = (uint8_t)((unsigned)frame->kind | (frame->note ? NET_FRAME_NOTE : 0));
    base_store_u16(ret_header + 6, frame->stream);
    memcpy(ret_header + 8, frame->session, NET_FRAME_SESSION);
    base_store_u64(ret_header + 24, frame->sequence);
    base_store_u64(ret_header + 32, frame->total);
    base_store_u32(ret_header + 40, frame->step);
    base_store_u32(ret_header + 44, frame->payload);
}

/* The one sentence of all frame errors. */
static enum base_status fail_field(const char *peer, const char *field, uint64_t got, uint64_t want,
                                   struct base_error *error)
{
    return base_fail(error, BASE_ERR_PEER, "%s: frame field %s is %" PRIu64 ", expected %" PRIu64, peer,
                     field, got, want);
}

enum base_status net_frame_decode(const void *header, size_t header_size, size_t payload_size,
                                  const char *peer, struct net_frame *ret, struct base_error *error)
{
    const uint8_t *bytes = header;
    if (header_size != NET_FRAME_HEADER)
        return fail_field(peer, "header size", header_size, NET_FRAME_HEADER, error);
    uint32_t magic = base_load_u32(bytes);
    if (magic != NET_FRAME_MAGIC)
        return base_fail(error, BASE_ERR_PEER,
                         "%s: frame field magic is 0x%08" PRIx32 ", expected 0x%08" PRIx32
                         ": the other end does not speak cachet",
                         peer, magic, (uint32_t)NET_FRAME_MAGIC);
    if (bytes[4] != NET_FRAME_VERSION)
        return base_fail(error, BASE_ERR_MISMATCH,
                         "%s: frame field version is %u, expected %u: run the same build on all parties",
                         peer, bytes[4], (unsigned)NET_FRAME_VERSION);
    unsigned kind = bytes[5] & ~(unsigned)NET_FRAME_NOTE;
    if (kind < NET_FRAME_DATA || kind > NET_FRAME_ACCEPT)
        return base_fail(error, BASE_ERR_PEER, "%s: frame field kind is %u, expected %d to %d", peer, kind,
                         NET_FRAME_DATA, NET_FRAME_ACCEPT);
    struct net_frame frame = {
        .kind = (enum net_frame_kind)kind,
        .note = (bytes[5] & NET_FRAME_NOTE) != 0,
        .stream = base_load_u16(bytes + 6),
        .sequence = base_load_u64(bytes + 24),
        .total = base_load_u64(bytes + 32),
        .step = base_load_u32(bytes + 40),
        .payload = base_load_u32(bytes + 44),
    };
    memcpy(frame.session, bytes + 8, NET_FRAME_SESSION);
    if (frame.payload != payload_size)
        return base_fail(error, BASE_ERR_PEER,
                         "%s: frame field payload is %" PRIu32 ", but %zu bytes came with it", peer,
                         frame.payload, payload_size);
    uint32_t most = frame.kind == NET_FRAME_DATA ? NET_FRAME_PAYLOAD : NET_ABORT_PAYLOAD;
    if (frame.payload > most)
        return base_fail(error, BASE_ERR_PEER,
                         "%s: frame field payload is %" PRIu32 ", expected at most %" PRIu32, peer,
                         frame.payload, most);
    if (frame.payload > frame.total)
        return base_fail(error, BASE_ERR_PEER,
                         "%s: frame field payload is %" PRIu32 ", more than its message's %" PRIu64, peer,
                         frame.payload, frame.total);
    if (frame.kind == NET_FRAME_DATA && frame.payload == 0)
        return base_fail(error, BASE_ERR_PEER,
                         "%s: frame field payload is 0 in a data frame, expected at least 1", peer);
    *ret = frame;
    return BASE_OK;
}

static void write_hex(const uint8_t *bytes, size_t size, char *ret_text)
{
    for (size_t i = 0; i < size; i++)
        (void)snprintf(ret_text + 2 * i, 3, "%02x", bytes[i]);
}

static enum base_status fail_session(const struct net_frame *got, const struct net_frame *want,
                                     const char *peer, struct base_error *error)
{
    char got_text[2 * NET_FRAME_SESSION + 1], want_text[2 * NET_FRAME_SESSION + 1];
    write_hex(got->session, NET_FRAME_SESSION, got_text);
    write_hex(want->session, NET_FRAME_SESSION, want_text);
    return base_fail(error, BASE_ERR_PEER,
                     "%s: frame field session is %s, expected %s: a frame of another session", peer, got_text,
                     want_text);
}

enum base_status net_frame_expect(const struct net_frame *got, const struct net_frame *want, const char *peer,
                                  struct base_error *error)
{
    if (got->kind != want->kind)
        return fail_field(peer, "kind", got->kind, want->kind, error);
    if (memcmp(got->session, want->session, NET_FRAME_SESSION) != 0)
        return fail_session(got, want, peer, error);
    if (got->stream != want->stream)
        return fail_field(peer, "stream", got->stream, want->stream, error);
    if (got->sequence != want->sequence)
        return base_fail(error, BASE_ERR_PEER,
                         "%s: frame field sequence is %" PRIu64 ", expected %" PRIu64 ": %s", peer,
                         got->sequence, want->sequence,
                         got->sequence > want->sequence ? "frames were lost" : "a frame came again");
    if (got->step != want->step)
        return fail_field(peer, "step", got->step, want->step, error);
    if (got->total != want->total)
        return fail_field(peer, "total", got->total, want->total, error);
    if (got->payload != want->payload)
        return fail_field(peer, "payload", got->payload, want->payload, error);
    return BASE_OK;
}

size_t net_abort_encode(const struct base_error *cause, uint8_t ret_payload[NET_ABORT_PAYLOAD])
{
    size_t length = strnlen(cause->text, sizeof cause->text);
    if (length > NET_ABORT_TEXT)
        length = NET_ABORT_TEXT;
    base_store_u32(ret_payload, (uint32_t)cause->code);
    memcpy(ret_payload + 4, cause->text, length);
    return 4 + length;
}

enum base_status net_abort_decode(const void *payload, size_t size, const char *peer,
                                  struct base_error *error)
{
    const uint8_t *bytes = payload;
    char text[NET_ABORT_TEXT + 1] = "";
    if (size > 4)
        base_text_clean(text, sizeof text, bytes + 4, size - 4);
    return base_fail(error, BASE_ERR_CLOSED, "%s stopped: %s", peer,
                     text[0] == '\0' ? "it gave no reason" : text);
}
