#include "parties/two.h"

#include "pair/cot.h"

#include <string.h>

enum { SOFTSPOKEN = 8 }; /* fewer bytes than 4; see pair/cot.h */

static void leave(struct party_two *two)
{
    pair_maker_finish(&two->maker);
    if (two->joined)
        pair_party_finish(&two->pair);
    two->joined = false;
}

static enum base_status join(void *context, int party, struct net_link *peer, const uint8_t session[16], struct base_error *error)
{
    struct party_two *two = context;
    enum base_status status = BASE_OK;
    leave(two);
    TRY(pair_party_init(&two->pair, party, two->kern, peer, session, NULL, error));
    two->joined = true;
    TRY(pair_cot_start(&two->pair, SOFTSPOKEN, error));
    /* Both keep their place: the session holds their addresses. */
    pair_maker_init(&two->maker, &two->pair, two->tape);
    pair_reader_init(&two->reader, &two->pair, two->tape);
out:
    return status;
}

static void drop(void *context)
{
    struct party_two *two = context;
    pair_maker_drop(&two->maker);
    pair_tape_drop(two->tape);
}

enum base_status party_two_init(struct party_two *ret, const struct kern_table *kern, struct base_error *error)
{
    enum base_status status = BASE_OK;
    *ret = (struct party_two){.kern = kern};
    TRY(pair_tape_create(&ret->tape, error));
    /* One thread makes and uses a step: what is not there will not come. */
    pair_tape_close(ret->tape, NULL);
    ret->of_session = (struct eng_session_maker){.join = join, .drop = drop, .notes = &ret->maker.of_party, .reads = &ret->reader.of_party, .context = ret};
    pair_source_over_tape(&ret->of_session.source, ret->tape);
out:
    return status;
}

void party_two_finish(struct party_two *two)
{
    leave(two);
    pair_tape_destroy(&two->tape);
}
