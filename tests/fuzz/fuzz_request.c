/* Fuzzes what a party reads from a client: requests and orders; and what a client reads from a party: reports of steps. */
#include "base/memory.h"
#include "engine/request.h"
#include "net/memory_link.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ORDER_STEP = 0x40000000 /* of order 0: engine/request.c */ };

/* What was accepted is what encoding gives back. */
static void read_request(const uint8_t *data, size_t size)
{
    struct eng_request request;
    struct base_error error = {0};
    uint8_t again[ENG_REQUEST_BYTES];
    if (eng_request_decode(data, size, &request, &error) != BASE_OK)
        return;
    eng_request_encode(&request, again);
    if (size != sizeof again || memcmp(again, data, size) != 0)
        abort();
}

/* The answer to a ping has its size, begins alike, and is no request. */
static void answer_ping(const uint8_t *data, size_t size)
{
    uint8_t bytes[256];
    struct eng_request request;
    if (size > sizeof bytes)
        return;
    memcpy(bytes, data, size);
    bool answered = eng_answer_ping(bytes, size);
    if (memcmp(bytes, data, answered && size > 8 ? 8 : size) != 0 || (answered && eng_request_decode(data, size, &request, NULL) == BASE_OK))
        abort();
}

static void read_report(const uint8_t *data)
{
    struct eng_step_report report;
    uint8_t again[ENG_STEP_REPORT_BYTES];
    eng_step_report_decode(data, &report);
    eng_step_report_encode(&report, again);
    if (memcmp(again, data, sizeof again) != 0)
        abort();
}

/* The bytes as an order, and back over the other way. A link is dead exactly when it has failed. */
static void read_order(const uint8_t *data)
{
    struct net_link *client = NULL, *party = NULL;
    struct base_error error = {0};
    struct eng_order order;
    uint8_t again[ENG_ORDER_BYTES];
    if (net_memory_pair_create(&client, &party, "client", "P1", 1, 4096, &error) != BASE_OK ||
        net_link_send(client, ORDER_STEP, data, ENG_ORDER_BYTES, &error) != BASE_OK)
        abort();
    if (eng_order_receive(party, 0, &order, &error) == BASE_OK)
        if (order.kind < ENG_ORDER_STEP || order.kind > ENG_ORDER_STOP || eng_order_send(party, 0, &order, &error) != BASE_OK ||
            net_link_receive(client, ORDER_STEP, again, sizeof again, &error) != BASE_OK || memcmp(again, data, sizeof again) != 0)
            abort();
    if (net_link_failure(party) != NULL)
        abort();
    net_link_destroy(&client);
    net_link_destroy(&party);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_request(data, size);
    answer_ping(data, size);
    if (size >= ENG_STEP_REPORT_BYTES)
        read_report(data);
    if (size >= ENG_ORDER_BYTES)
        read_order(data);
    return 0;
}
