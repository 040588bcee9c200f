/* Fuzzes what reads a peer's bytes before anything else: frame headers, abort texts, and a link that receives
 * frames cut out of the input (messages, a blob, a HELLO). */
#include "base/memory.h"
#include "net/frame.h"
#include "net/hello.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Delivers the input as frames: two bytes of length, then header and payload. */
struct input {
    const uint8_t *at;
    size_t left;
    uint64_t sequence;
    int repair; /* sets magic, version and sequence right, so that the fuzzer gets past them */
};

static enum base_status input_send(void *carrier, const void *header, size_t header_size, const void *payload,
                                   size_t payload_size, int64_t deadline_ms, struct base_error *error)
{
    return BASE_OK;
}

static int input_can_send(void *carrier)
{
    return 1;
}

static enum base_status input_receive(void *carrier, void *header, size_t header_size, void *payload,
                                      size_t capacity, size_t *ret_payload_size, int64_t deadline_ms,
                                      struct base_error *error)
{
    struct input *input = carrier;
    if (input->left < 2 + NET_FRAME_HEADER)
        return base_fail(error, BASE_ERR_CLOSED, "the input has ended");
    size_t size = base_load_u16(input->at);
    memcpy(header, input->at + 2, NET_FRAME_HEADER);
    input->at += 2 + NET_FRAME_HEADER;
    input->left -= 2 + NET_FRAME_HEADER;
    size = size < input->left ? size : input->left;
    memcpy(payload, input->at, size < capacity ? size : capacity);
    if (input->repair) {
        uint8_t *bytes = header;
        base_store_u32(bytes, NET_FRAME_MAGIC);
        bytes[4] = NET_FRAME_VERSION;
        base_store_u64(bytes + 24, input->sequence++);
        base_store_u32(bytes + 44, (uint32_t)size);
    }
    input->at += size;
    input->left -= size;
    *ret_payload_size = size;
    return BASE_OK;
}

static enum base_status input_wait(void *carrier, int want_send, int *ret_can_receive, int *ret_can_send,
                                   int64_t deadline_ms, struct base_error *error)
{
    *ret_can_receive = *ret_can_send = 1;
    return BASE_OK;
}

static int input_lost(void *carrier)
{
    return 0;
}

static void input_destroy(void *carrier)
{
}

/* One link over the rest of the input, used as `way` says. */
static void use_link(const uint8_t *data, size_t size, int way)
{
    static const struct net_carrier functions = {input_send, input_can_send, input_receive, input_wait,
                                                 input_lost, input_destroy};
    struct input input = {.at = data, .left = size, .repair = way & 4};
    struct net_hello_config config = {.own_id = 1, .peer_id = 2};
    struct net_link *link = NULL;
    unsigned char *blob = NULL, message[100];
    size_t blob_size;
    if (net_link_create(&link, &functions, &input, "P2", 0, NULL) != BASE_OK)
        abort();
    enum base_status status = BASE_OK;
    if ((way & 3) == 0)
        status = net_hello(link, &config, NULL, NULL);
    else if ((way & 3) == 1)
        status = net_link_receive_blob(link, 0, 5000, &blob, &blob_size, NULL);
    else
        status = net_link_exchange(link, 0, message, 10, message, way & 8 ? 100 : 1, NULL);
    /* A link is dead exactly when it has failed. */
    if ((status == BASE_OK) != (net_link_failure(link) == NULL))
        abort();
    base_free_secret(&blob);
    net_link_destroy(&link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_frame frame;
    struct base_error error = {0};
    if (size < 1)
        return 0;
    use_link(data + 1, size - 1, data[0]);
    (void)net_abort_decode(data, size, "P2", &error);
    size_t head = size < NET_FRAME_HEADER ? size : NET_FRAME_HEADER;
    if (net_frame_decode(data, head, size - head, "P2", &frame, NULL) == BASE_OK) {
        /* What was accepted is what encoding gives back. */
        uint8_t again[NET_FRAME_HEADER];
        net_frame_encode(&frame, again);
        if (memcmp(again, data, NET_FRAME_HEADER) != 0)
            abort();
    }
    return 0;
}
