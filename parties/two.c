#include "parties/two.h"

#include "pair/cot.h"

#include <stdio.h>
#include <string.h>

enum { SOFTSPOKEN = 8 }; /* fewer bytes than 4; see pair/cot.h */

static void leave(struct party_two *two)
{
    pair_maker_finish(&two->maker);
    if (two->joined)
        pair_party_finish(&two->pair);
    two->joined = false;
}

static void tell(void *context, size_t outs, size_t columns, size_t done)
{
    const struct party_two *two = context;
    if (two->log != NULL && done == columns)
        base_log_write(two->log, BASE_LOG_INFO, NULL, "masks of weights %zu x %zu are encrypted, once for this model", outs, columns);
}

/* What both hold is used where it was made together; else it is made anew. */
static enum base_status compare_weights(struct party_two *two, const uint8_t session[PAIR_SESSION], struct base_error *error)
{
    enum base_status status;
    uint8_t theirs[PAIR_SESSION];
    TRY(pair_put_bytes(&two->pair, two->weights.id, PAIR_SESSION, error));
    TRY(pair_await_bytes(&two->pair, theirs, PAIR_SESSION, error));
    TRY(pair_exchange(&two->pair, error));
    two->pair.declared = pair_cost_then(two->pair.declared, (struct pair_cost){1, {0, PAIR_SESSION, PAIR_SESSION}, {0}});
    two->fresh = !two->weights.complete || memcmp(theirs, two->weights.id, PAIR_SESSION) != 0;
    if (two->fresh)
        pair_store_finish(&two->weights);
out:
    return status;
}

static enum base_status weights(void *context, bool begin, struct base_error *error)
{
    struct party_two *two = context;
    two->maker.weights_only = begin;
    if (begin || !two->fresh)
        return BASE_OK;
    two->weights.complete = true;
    memcpy(two->weights.id, two->pair.session, PAIR_SESSION);
    two->fresh = false;
    struct base_error why = {0};
    if (two->path[0] != '\0' && pair_store_save(&two->weights, &two->owner, two->path, &why) != BASE_OK && two->log != NULL)
        base_log_write(two->log, BASE_LOG_WARNING, NULL, "%s: encrypted weights are not kept, and are made again at the next start", why.text);
    return BASE_OK;
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
    two->maker.model = &two->weights;
    two->maker.told = tell;
    two->maker.told_context = two;
    TRY(compare_weights(two, session, error));
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
    ret->of_session = (struct eng_session_maker){.join = join, .weights = weights, .drop = drop, .notes = &ret->maker.of_party, .reads = &ret->reader.of_party,
                                                 .context = ret};
    pair_source_over_tape(&ret->of_session.source, ret->tape);
out:
    return status;
}

enum base_status party_two_keep(struct party_two *two, int party, const char *directory, const uint8_t digest[PAIR_STORE_DIGEST], struct base_error *error)
{
    struct base_error why = {0};
    two->owner.party = party;
    memcpy(two->owner.digest, digest, PAIR_STORE_DIGEST);
    if (snprintf(two->path, sizeof two->path, "%s/encrypted-weights", directory) >= (int)sizeof two->path)
        return base_fail(error, BASE_ERR_ARGUMENT, "%s: too long a path", directory);
    if (pair_store_load(&two->weights, &two->owner, two->path, &why) != BASE_OK && two->log != NULL)
        base_log_write(two->log, BASE_LOG_WARNING, NULL, "%s: it is made anew", why.text);
    return BASE_OK;
}

void party_two_finish(struct party_two *two)
{
    leave(two);
    pair_store_finish(&two->weights);
    pair_tape_destroy(&two->tape);
}
