/* Two parties without P0: each step is noted and made by both, over the link between them, just before it is computed, or long before its text exists. */
#include "engine/session_run.h"

#include "base/failpoint.h"
#include "base/memory.h"

#include <sodium.h>
#include <string.h>

struct eng_ahead {
    struct mpc_party party; /* with its streams in locked memory; in P0's role with own mask halves alone (mpc/maker.h) */
    struct eng_decoder decoder;
    bool spooled; /* the slot's material was made before: steps read it */
};

enum base_status eng_session_set_maker(struct eng_session *s, const struct eng_session_maker *maker, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY_THAT(mpc_computes(&s->party) && s->slots == 1, error, BASE_ERR_SUPPORT, "two parties without P0 serve one slot, and this session has %zu: set limits.slots to 1",
             s->slots);
    const struct eng_decoder_form *form = &s->slot[0].decoder.form;
    TRY_THAT(form->plan->pair, error, BASE_ERR_ARGUMENT, "the plan is not one of two parties");
    TRY(base_alloc_locked(&s->ahead, sizeof *s->ahead, error));
    TRY(eng_decoder_init(&s->ahead->decoder, MPC_HELPER, *form, error));
    TRY(mpc_party_init(&s->ahead->party, MPC_HELPER, s->party.kern, eng_decoder_work_size(&s->ahead->decoder), error));
    s->maker = maker;
    s->ahead->party.maker = maker->notes;
    s->party.maker = maker->reads;
    s->party.source = maker->source;
out:
    return status;
}

void eng_session_finish_ahead(struct eng_session *s)
{
    if (s->ahead == NULL)
        return;
    eng_decoder_finish(&s->ahead->decoder);
    mpc_party_finish(&s->ahead->party);
    base_free_locked(&s->ahead);
}

/* One row through the graph, of which the maker notes the weights alone. Its masks serve for nothing. */
static enum base_status walk_weights(struct eng_session *s, struct base_error *error)
{
    static const uint8_t no_key[ENG_SESSION_KEY];
    struct eng_ahead *a = s->ahead;
    struct mpc_party *p = &a->party;
    struct eng_logits out;
    const struct eng_decoder_form *form = &a->decoder.form;
    enum base_status status = BASE_OK;
    if (!s->maker->wants_weights(s->maker->context))
        return BASE_OK;
    mpc_stream_init(&p->s1, p->kern, no_key);
    mpc_stream_init(&p->o1, p->kern, no_key);
    eng_decoder_reset(&a->decoder);
    p->before_round = NULL;
    TRY(eng_decoder_begin(&a->decoder, p, form->context - 1, 1, error));
    struct mpc_wire hot = mpc_input(p, NULL, form->shape->vocab, SEC_ROW_RING, 0, 1);
    status = eng_decoder_step(&a->decoder, p, hot, 1, 1, &out);
    if (status == BASE_OK)
        status = p->status;
    if (status != BASE_OK)
        *error = p->error;
    TRY(status);
    eng_session_clear_ahead(s);
    s->maker->has_weights(s->maker->context);
out:
    return status;
}

enum base_status eng_session_join_pair(struct eng_session *s, struct base_error *error)
{
    static const char label[] = "cachet pair session 1";
    uint8_t id[16];
    int own = (int)s->party.role;
    /* Own masks: nobody shares this key. */
    randombytes_buf(own == 1 ? s->keys->key1 : s->keys->key2, ENG_SESSION_KEY);
    (void)crypto_generichash(id, sizeof id, (const uint8_t *)label, sizeof label - 1, s->keys->key12, ENG_SESSION_KEY);
    enum base_status status = s->maker->join(s->maker->context, own, s->party.peer, id, error);
    return status == BASE_OK ? walk_weights(s, error) : status;
}

void eng_session_clear_ahead(struct eng_session *s)
{
    if (s->ahead == NULL)
        return;
    struct mpc_party *p = &s->ahead->party;
    mpc_stream_finish(&p->s1);
    mpc_stream_finish(&p->o1);
    eng_decoder_reset(&s->ahead->decoder);
    base_arena_release(&p->arena, 0);
    base_arena_trim(&p->arena);
    p->pending_count = 0;
    p->step = 0;
    p->declared = (struct mpc_cost){0};
    p->status = BASE_OK;
    p->error = (struct base_error){0};
    s->ahead->spooled = false;
    s->made = s->made_sent = 0;
    s->maker->drop(s->maker->context);
}

/* A client that is gone misses it, and is seen to be gone by what comes after. */
static void tell_client(struct eng_session *s, const struct eng_text *text)
{
    struct eng_text_word word = {.source = text->source, .left = text->left};
    struct base_error late = {0};
    memcpy(word.key, text->input, sizeof word.key);
    if (eng_text_word_send(s->party.client, &word, &late) != BASE_OK)
        s->party.client_lost = true;
    base_wipe(&word, sizeof word);
}

/* Both parties part from the same keys: the one that computes, and the one ahead of time. */
static void start_streams(struct eng_session *s, const struct eng_text *text)
{
    struct mpc_party *p = &s->party, *ahead = &s->ahead->party;
    bool left = p->role == MPC_LEFT;
    struct mpc_stream *own = left ? &p->s1 : &p->s2, *input = left ? &p->o1 : &p->o2;
    mpc_stream_init(own, p->kern, text->own);
    mpc_stream_init(input, p->kern, text->input);
    ahead->s1 = *own;
    ahead->o1 = *input;
}

static enum base_status begin_ahead(struct eng_session *s, const struct eng_order *order)
{
    enum base_status status = BASE_OK;
    struct eng_ahead *a = s->ahead;
    eng_decoder_reset(&a->decoder);
    a->party.before_round = NULL;
    TRY(eng_decoder_begin(&a->decoder, &a->party, order->prompt_tokens, order->new_tokens, &s->party.error));
    TRY(eng_decoder_make_up(&a->decoder, &a->party, order->made_up));
out:
    return status;
}

enum base_status eng_session_open_ahead(struct eng_session *s, const struct eng_request *r, const struct eng_order *order, uint32_t *new_tokens,
                                        struct base_error *ret_refusal)
{
    enum base_status status = BASE_OK;
    if (s->ahead == NULL)
        return BASE_OK;
    struct eng_text text = {0};
    struct base_error *error = &s->party.error;
    const struct eng_text_form form = {.prompt_tokens = order->prompt_tokens, .new_tokens = order->new_tokens, .chunk = r->chunk, .mode = r->mode};
    eng_session_set_phase(s, NET_PHASE_SETUP);
    s->maker->drop(s->maker->context);
    if (!r->prepare && order->made_up == 0)
        TRY(s->maker->take(s->maker->context, &form, &text, ret_refusal, error));
    if (text.source != ENG_TEXT_SPOOLED) {
        randombytes_buf(text.own, sizeof text.own);
        randombytes_buf(text.input, sizeof text.input);
    }
    if (r->prepare)
        s->maker->begin(s->maker->context, &form, &text, ret_refusal);
    if (ret_refusal->code != BASE_OK)
        goto out;
    if (!r->prepare)
        BASE_FINGERPRINT(text.own, sizeof text.own);
    s->ahead->spooled = text.source == ENG_TEXT_SPOOLED;
    start_streams(s, &text);
    if (s->ahead->spooled)
        *new_tokens = text.new_tokens;
    else
        TRY(begin_ahead(s, order));
    if (!r->prepare)
        tell_client(s, &text);
out:
    s->party.status = status;
    base_wipe(&text, sizeof text);
    return status;
}

/* Whoever prepares waits long, and hears of each layer. */
static void layer_made(void *context, size_t layer)
{
    struct eng_session *s = context;
    if (eng_progress_send(s->party.client, layer, NULL) != BASE_OK)
        s->party.client_lost = true;
}

static enum base_status make(struct eng_session *s, size_t rows, size_t answers, bool tells)
{
    struct mpc_party *p = &s->ahead->party;
    struct eng_logits out;
    size_t mark = base_arena_mark(&p->arena), vocab = s->ahead->decoder.form.shape->vocab;
    const struct net_count *sent = net_link_count(s->party.peer, NET_PHASE_SETUP);
    uint64_t before = p->declared.offline, before_sent = sent->payload_bytes;
    p->layer_done = tells ? layer_made : NULL;
    p->layer_done_context = s;
    struct mpc_wire hot = mpc_input(p, NULL, rows * vocab, SEC_ROW_RING, 0, 1);
    enum base_status status = eng_decoder_step(&s->ahead->decoder, p, hot, rows, answers, &out);
    mpc_make(p, true);
    base_arena_release(&p->arena, mark);
    s->made = p->declared.offline - before;
    s->made_sent = sent->payload_bytes - before_sent;
    if (status == BASE_OK)
        status = p->status;
    if (status != BASE_OK)
        s->party.error = p->error;
    return status;
}

enum base_status eng_session_make_ahead(struct eng_session *s, const struct eng_request *r, size_t rows, size_t answers, struct base_error *ret_refusal)
{
    enum base_status status = BASE_OK;
    if (s->ahead == NULL)
        return BASE_OK;
    const struct eng_session_maker *maker = s->maker;
    const struct eng_slot *slot = &s->slot[0];
    s->made = s->made_sent = 0;
    eng_session_set_phase(s, NET_PHASE_SETUP);
    if (s->ahead->spooled)
        TRY(maker->load(maker->context, rows, answers, &s->party.error));
    else
        TRY(make(s, rows, answers, r->prepare && s->party.role == MPC_LEFT));
    if (!r->prepare)
        return BASE_OK;
    TRY(maker->keep(maker->context, rows, answers, ret_refusal, &s->party.error));
    if (ret_refusal->code == BASE_OK && slot->rows + rows + 1 >= slot->prompt_tokens + slot->new_tokens)
        TRY(maker->end(maker->context, ret_refusal, &s->party.error));
out:
    s->party.status = status;
    return status;
}
