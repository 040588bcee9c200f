/* The frame header: what every frame on every link starts with, and the checks that a received one must pass.
 *
 * Layout (little-endian, NET_FRAME_HEADER bytes):
 *    0  magic 4   "CCHT"             24  sequence 8  counts frames per direction, from 0
 *    4  version 1                    32  total 8     bytes of the whole message
 *    5  kind 1    enum net_frame_kind, + 128 with a note  40  step 4
 *    6  stream 2                     44  payload 4   bytes of payload in this frame
 *    8  session 16
 *
 * Everything here is public: lengths and steps follow from shapes. */
#ifndef CACHET_NET_FRAME_H
#define CACHET_NET_FRAME_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NET_FRAME_MAGIC = 0x54484343,
    NET_FRAME_VERSION = 2, /* of this layout and of the rules of net/link.h; any change of either raises it */
    NET_FRAME_HEADER = 48,
    NET_FRAME_NOTE = 128, /* added to the kind: net_link_set_note */
    NET_FRAME_SESSION = 16,
    NET_ABORT_TEXT = 600,                   /* bytes of text in an abort frame, at most */
    NET_ABORT_PAYLOAD = 4 + NET_ABORT_TEXT, /* a status code, then the text */
};

enum net_frame_kind {
    NET_FRAME_DATA = 1,   /* a piece of a message */
    NET_FRAME_ABORT = 2,  /* the sender has stopped and says why */
    NET_FRAME_OPEN = 3,   /* carrier: the connecting end asks for a link */
    NET_FRAME_ACCEPT = 4, /* carrier: the listening end has taken it */
};

struct net_frame {
    enum net_frame_kind kind;
    bool note;
    uint16_t stream;
    uint8_t session[NET_FRAME_SESSION];
    uint64_t sequence;
    uint64_t total;
    uint32_t step;
    uint32_t payload;
};

void net_frame_encode(const struct net_frame *frame, uint8_t ret_header[NET_FRAME_HEADER]);

/* Reads a header and checks what holds for every frame: size, magic, version, kind, payload as long as it
 * says and within its message and NET_FRAME_PAYLOAD. `payload_size` is what the carrier delivered after the
 * header; `peer` names the sender. Errors: BASE_ERR_MISMATCH (version), BASE_ERR_PEER (the rest), naming
 * peer, field and both values. */
BASE_MUST_USE enum base_status net_frame_decode(const void *header, size_t header_size, size_t payload_size,
                                                const char *peer, struct net_frame *ret,
                                                struct base_error *error);

/* Compares a decoded data frame with the one that must come next: session, stream, sequence, step, total,
 * payload. Errors: BASE_ERR_PEER, naming peer, field and both values. */
BASE_MUST_USE enum base_status net_frame_expect(const struct net_frame *got, const struct net_frame *want,
                                                const char *peer, struct base_error *error);

/* Payload of an abort frame from a failure; returns its size. */
size_t net_abort_encode(const struct base_error *cause, uint8_t ret_payload[NET_ABORT_PAYLOAD]);

/* What a peer's abort frame says, cut to length and made printable, as the failure "PEER stopped: text"
 * (BASE_ERR_CLOSED). Accepts any bytes. */
enum base_status net_abort_decode(const void *payload, size_t size, const char *peer,
                                  struct base_error *error);

#endif
