#include "parties/two.h"

#include "base/memory.h"
#include "pair/cot.h"
#include "parties/version.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { SOFTSPOKEN = 8 }; /* fewer bytes than 4; see pair/cot.h */

_Static_assert((int)PAIR_TEXT_MASK_KEY == (int)ENG_REQUEST_KEY, "keys of masks");

static void drop(void *context)
{
    struct party_two *two = context;
    pair_maker_drop(&two->maker);
    pair_tape_drop(two->tape);
    pair_spool_abandon(&two->spool);
    pair_text_finish(&two->text);
    pair_cot_finish(&two->old);
    two->reader.view.cot = two->pair.cot;
}

static void leave(struct party_two *two)
{
    drop(two);
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

static bool wants_weights(void *context)
{
    struct party_two *two = context;
    two->maker.weights_only = two->fresh || !pair_store_is_met(&two->weights);
    return two->maker.weights_only;
}

static void has_weights(void *context)
{
    struct party_two *two = context;
    two->maker.weights_only = false;
    if (!two->fresh)
        return;
    two->weights.complete = true;
    memcpy(two->weights.id, two->pair.session, PAIR_SESSION);
    two->fresh = false;
    struct base_error why = {0};
    if (two->path[0] != '\0' && pair_store_save(&two->weights, &two->owner, two->path, &why) != BASE_OK && two->log != NULL)
        base_log_write(two->log, BASE_LOG_WARNING, NULL, "%s: encrypted weights are not kept, and are made again at the next start", why.text);
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
    TRY(pair_spool_meet(&two->spool, &two->pair, error));
    if (pair_spool_works(&two->spool)) {
        char waiting[256];
        pair_spool_describe(&two->spool, waiting, sizeof waiting);
        base_log_write(two->spool.config.log, BASE_LOG_INFO, NULL, "texts made ahead of use (prompt + new tokens): %s", waiting);
    }
out:
    return status;
}

/* --- texts made ahead of use ----------------------------------------------------------------------------------------------------------- */

static struct pair_text_form form_of(const struct eng_text_form *form)
{
    return (struct pair_text_form){
        .prompt_tokens = form->prompt_tokens, .new_tokens = form->new_tokens, .chunk = form->chunk, .mode = (uint32_t)form->mode};
}

static void refuse_dry(const struct party_two *two, const struct eng_text_form *form, struct base_error *ret_refusal)
{
    char waiting[256];
    pair_spool_describe(&two->spool, waiting, sizeof waiting);
    (void)base_fail(ret_refusal, BASE_ERR_ARGUMENT,
                    "no material waits for a text of %u prompt tokens and %u new ones (mode %s), and these parties make none while a client waits "
                    "(spool.dry: refuse); there is, as prompt + new tokens: %s. Run `cachet prepare --prompt-tokens %u --tokens %u` first",
                    form->prompt_tokens, form->new_tokens, eng_request_mode_name(form->mode), waiting, form->prompt_tokens, form->new_tokens);
}

static enum base_status take(void *context, const struct eng_text_form *form, struct eng_text *ret, struct base_error *ret_refusal, struct base_error *error)
{
    struct party_two *two = context;
    enum base_status status = BASE_OK;
    struct pair_text_keys keys = {{0}, {0}, {{0}}};
    const struct pair_text_form wanted = form_of(form);
    ret->source = ENG_TEXT_MADE;
    if (!pair_spool_works(&two->spool) && !two->refuses)
        goto out;
    TRY(pair_spool_take(&two->spool, &two->pair, &wanted, &two->text, &keys, error));
    ret->left = (uint32_t)pair_spool_waiting(&two->spool, &wanted);
    ret->source = two->text.file != NULL ? ENG_TEXT_SPOOLED : ENG_TEXT_DRY;
    if (ret->source == ENG_TEXT_DRY) {
        base_log_write(two->spool.config.log, BASE_LOG_INFO, NULL, "no material waits for %u prompt tokens and %u new ones: %s", form->prompt_tokens,
                       form->new_tokens, two->refuses ? "refused" : "each step's is made before it");
        if (two->refuses)
            refuse_dry(two, form, ret_refusal);
        goto out;
    }
    ret->new_tokens = two->text.about.form.new_tokens;
    memcpy(ret->own, keys.own, sizeof ret->own);
    memcpy(ret->input, keys.input, sizeof ret->input);
    TRY(pair_cot_of_delta(&two->old, keys.delta, error));
    two->reader.view.cot = two->old.cot;
out:
    base_wipe(&keys, sizeof keys);
    return status;
}

static enum base_status load(void *context, size_t rows, size_t answers, struct base_error *error)
{
    struct party_two *two = context;
    return pair_text_load(&two->text, two->tape, rows, answers, error);
}

static void begin(void *context, const struct eng_text_form *form, const struct eng_text *text, struct base_error *ret_refusal)
{
    struct party_two *two = context;
    struct pair_text_keys keys = {.delta = pair_delta(&two->pair)};
    const struct pair_text_form made = form_of(form);
    memcpy(keys.own, text->own, sizeof keys.own);
    memcpy(keys.input, text->input, sizeof keys.input);
    pair_spool_begin(&two->spool, &made, &keys, ret_refusal);
    base_wipe(&keys, sizeof keys);
}

static enum base_status keep(void *context, size_t rows, size_t answers, struct base_error *ret_refusal, struct base_error *error)
{
    struct party_two *two = context;
    return pair_spool_keep(&two->spool, &two->pair, two->tape, rows, answers, ret_refusal, error);
}

static enum base_status end(void *context, struct base_error *ret_refusal, struct base_error *error)
{
    struct party_two *two = context;
    return pair_spool_end(&two->spool, &two->pair, ret_refusal, error);
}

void party_two_spool_config(const struct party_two_spool *form, struct pair_spool_config *ret)
{
    static const char key_label[] = "cachet spool key 1", owner_label[] = "cachet spool owner 1";
    crypto_generichash_state state;
    *ret = (struct pair_spool_config){.directory = form->directory, .log = form->log, .party = form->party, .most = form->most};
    (void)crypto_generichash(ret->key, sizeof ret->key, (const uint8_t *)key_label, sizeof key_label - 1, form->key->secret, NET_KEY_BYTES);
    (void)crypto_generichash_init(&state, (const uint8_t *)owner_label, sizeof owner_label - 1, sizeof ret->owner);
    for (size_t i = 0; i < form->field_count; i++) {
        const struct net_hello_field *field = &form->fields[i];
        const void *value = field->text != NULL ? field->text : field->bytes;
        uint8_t length[8];
        size_t size = field->text != NULL ? strlen(field->text) : field->size;
        base_store_u64(length, size); /* so that no two lists run together */
        (void)crypto_generichash_update(&state, length, sizeof length);
        (void)crypto_generichash_update(&state, value, size);
    }
    /* The same version may note other things, or in another order, from one commit to the next. */
    (void)crypto_generichash_update(&state, (const uint8_t *)CACHET_COMMIT, sizeof CACHET_COMMIT);
    (void)crypto_generichash_final(&state, ret->owner, sizeof ret->owner);
}

enum base_status party_two_open_spool(struct party_two *two, const struct party_two_spool *form, struct base_error *error)
{
    struct pair_spool_config config;
    party_two_spool_config(form, &config);
    enum base_status status = pair_spool_open(&two->spool, &config, error);
    base_wipe(&config, sizeof config);
    return status;
}

/* --------------------------------------------------------------------------------------------------------------------------------------- */

enum base_status party_two_init(struct party_two *ret, const struct kern_table *kern, struct base_error *error)
{
    enum base_status status = BASE_OK;
    *ret = (struct party_two){.kern = kern, .spool = {.lock = -1}};
    TRY(pair_tape_create(&ret->tape, error));
    /* One thread makes and uses a step: what is not there will not come. */
    pair_tape_close(ret->tape, NULL);
    ret->of_session = (struct eng_session_maker){.join = join,
                                                 .wants_weights = wants_weights,
                                                 .has_weights = has_weights,
                                                 .drop = drop,
                                                 .take = take,
                                                 .load = load,
                                                 .begin = begin,
                                                 .keep = keep,
                                                 .end = end,
                                                 .notes = &ret->maker.of_party,
                                                 .reads = &ret->reader.of_party,
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

void party_two_count(struct pair_maker *ret)
{
    pair_maker_count(ret, SOFTSPOKEN);
}

void party_two_finish(struct party_two *two)
{
    if (two->tape == NULL)
        return; /* of another mode: never begun */
    leave(two);
    pair_spool_close(&two->spool);
    pair_store_finish(&two->weights);
    pair_tape_destroy(&two->tape);
}
