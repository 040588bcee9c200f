/* Messages whose length only the sender knows: a length word, then the bytes, both as ordinary messages. */
#include "net/internal.h"

#include "base/memory.h"

#include <inttypes.h>

enum { LENGTH_WORD = 8 };

enum base_status net_link_send_blob(struct net_link *link, uint32_t step, const void *data, size_t size,
                                    struct base_error *error)
{
    uint8_t word[LENGTH_WORD];
    base_store_u64(word, size);
    enum base_status status = net_link_send(link, step, word, sizeof word, error);
    return status == BASE_OK ? net_link_send(link, step, data, size, error) : status;
}

enum base_status net_link_receive_blob(struct net_link *link, uint32_t step, size_t limit,
                                       unsigned char **ret_data, size_t *ret_size, struct base_error *error)
{
    enum base_status status;
    struct base_error cause = {0};
    unsigned char *data = NULL;
    uint8_t word[LENGTH_WORD];
    TRY(net_link_receive(link, step, word, sizeof word, error));
    uint64_t size = base_load_u64(word);
    /* Checked before a byte is allocated: the word is the peer's. The link ends, as the bytes that follow it
     * stay unread. */
    if (size > limit)
        status = base_fail(&cause, BASE_ERR_PEER,
                           "a message of %" PRIu64 " bytes was announced, expected at most %zu", size, limit);
    else
        status = base_alloc(&data, (size_t)size + 1, 1, &cause);
    if (status != BASE_OK) {
        status = net_link_fail(link, step, &cause, error);
        goto out;
    }
    TRY(net_link_receive(link, step, data, (size_t)size, error));
    *ret_data = data;
    *ret_size = (size_t)size;
    data = NULL;
out:
    base_free_secret(&data);
    return status;
}
