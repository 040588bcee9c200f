/* Clients that go at any moment, order what makes no sense, too early or too much, or leave one party behind: it costs them their links, and the
 * parties stay joined for the next one. And orders as bytes. */
#include "tests/engine/decoder/slots_support.h"

#include "net/memory_link.h"

/* What does not go together costs the client its link, and the parties stay joined. */
static void test_bad_orders(void **state)
{
    struct slots_stage *s = *state;
    const struct {
        struct eng_order order;
        const char *says;
    } cases[] = {{{.kind = ENG_ORDER_STEP}, "slots that are not open"},
                 {{.kind = ENG_ORDER_STEP, .slots = 2}, "slots that are not open"},
                 {{.kind = ENG_ORDER_STEP, .slots = 3}, "slots that are not open"},
                 {{.kind = ENG_ORDER_STEP, .slots = UINT32_C(1) << 31}, "slots that are not open"},
                 {{.kind = ENG_ORDER_CLOSE, .slots = 1 << SLOTS}, "does not have"},
                 {{.kind = ENG_ORDER_CLOSE, .slots = 3}, "does not have"},
                 {{.kind = ENG_ORDER_OPEN, .slots = 1, .prompt_tokens = 4, .new_tokens = 4}, "a slot that is open"},
                 {{.kind = ENG_ORDER_OPEN, .slots = 2, .prompt_tokens = 0, .new_tokens = 4}, "both must be 1 or more"},
                 {{.kind = ENG_ORDER_OPEN, .slots = 2, .prompt_tokens = CONTEXT, .new_tokens = 1}, "more than the context"}};
    struct slots_lane lane = slots_lane(s, 0), again = lane;
    slots_open_parties(s, "full");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct base_error error = {0};
        struct eng_usage served[3];
        slots_begin(s, &lane);
        for (int party = 0; party < 3; party++)
            check_ok(eng_order_send(s->links[party], 0, &cases[i].order, &error), &error, "order");
        assert_int_not_equal(eng_local_wait(s->local, served, &error), BASE_OK);
        if (strstr(error.text, cases[i].says) == NULL)
            fail_msg("case %zu: %s", i, error.text);
        eng_remote_finish(&s->remote);
    }
    slots_alone(s, &again);
    assert_int_equal(again.count, NEW_TOKENS);
    eng_local_destroy(&s->local);
}

/* The parties have ended the client's run for this reason, and are joined: the next one gets what it should. */
static void check_refused(struct slots_stage *s, const char *says, const char *or, const struct slots_lane *want)
{
    struct base_error error = {0};
    struct eng_usage served[3];
    struct slots_lane again = {.prompt = want->prompt, .prompt_tokens = want->prompt_tokens, .expected = want->tokens};
    assert_int_not_equal(eng_local_wait(s->local, served, &error), BASE_OK);
    if (strstr(error.text, says) == NULL && (or == NULL || strstr(error.text, or) == NULL))
        fail_msg("%s: %s", says, error.text);
    eng_remote_finish(&s->remote);
    slots_alone(s, &again);
    assert_memory_equal(again.tokens, want->tokens, sizeof want->tokens);
}

static void send_order(struct slots_stage *s, int party, uint32_t number, struct eng_order o)
{
    struct base_error error = {0};
    check_ok(eng_order_send(s->links[party], number, &o, &error), &error, "order");
}

/* Two are past their prompts, and two more tokens are theirs. */
static void begin_two(struct slots_stage *s, struct slots_lane *a, struct slots_lane *b)
{
    struct slots_lane *both[] = {a, b};
    slots_begin(s, a);
    slots_read_prompt(s, 1, a);
    slots_order(s, ENG_ORDER_OPEN, 2, b);
    slots_read_prompt(s, 2, b);
    (void)slots_step(s, 3, both, 2);
}

/* The client's links end at every place that a run has; orders that P0 has had ahead are nothing to the others. */
static void test_client_goes(void **state)
{
    enum phase { OPENED, ORDERED, READING, BETWEEN_CHUNKS, BETWEEN_TOKENS, TWO_OPEN, TWO_ORDERED, TWO_DECODING, JUST_OPENED, PHASES };
    const struct base_error bye = {.code = BASE_ERR_CLOSED, .text = "the client was killed"};
    const struct eng_order next = {.kind = ENG_ORDER_STEP, .slots = 1}, both = {.kind = ENG_ORDER_STEP, .slots = 3};
    struct slots_stage *s = *state;
    struct slots_lane want = slots_lane(s, 3), first, second;
    slots_open_parties(s, "full");
    slots_alone(s, &want);
    for (int i = 0; i < 2 * PHASES; i++) {
        enum phase phase = (enum phase)(i / 2);
        uint32_t at;
        first = slots_lane(s, 3);
        second = slots_lane(s, 1);
        if (phase >= TWO_OPEN && phase <= TWO_DECODING)
            begin_two(s, &first, &second);
        else
            slots_begin(s, &first);
        struct slots_lane *one = &first;
        if (phase == BETWEEN_CHUNKS)
            (void)slots_step(s, 1, &one, 1);
        if (phase == BETWEEN_TOKENS)
            slots_read_prompt(s, 1, &first);
        if (phase == JUST_OPENED)
            slots_order(s, ENG_ORDER_OPEN, 2, &second);
        at = s->remote.given;
        bool two = phase >= TWO_OPEN && phase <= TWO_DECODING, ordered = phase == ORDERED || phase == READING || phase == TWO_ORDERED || phase == TWO_DECODING;
        for (int ahead = ordered ? 0 : 1; ahead <= i % 2 * 3; ahead++)
            send_order(s, 0, at + (uint32_t)ahead - !ordered, two ? both : next);
        for (int party = 1; ordered && party <= 2; party++)
            send_order(s, party, at, two ? both : next);
        if (ordered && i % 2 == 0 && (phase == ORDERED || phase == TWO_ORDERED))
            send_order(s, 0, at + 1, two ? both : next);
        struct base_error error = {0};
        if (phase == READING || phase == TWO_DECODING) {
            size_t rows = two ? 2 : CHUNK, vocab = s->model.source.shape->vocab;
            memset(s->remote.hot, 0, rows * vocab * sizeof *s->remote.hot);
            for (size_t r = 0; r < rows; r++)
                s->remote.hot[r * vocab + 1] = 1;
            check_ok(mpc_client_give(&s->remote.client, s->remote.hot, rows * vocab, SEC_ROW_RING, &error), &error, "give");
        }
        for (int party = 0; party < 3; party++)
            net_link_abort(s->links[party], &bye);
        check_refused(s, "the client was killed", NULL, &want);
    }
    eng_local_destroy(&s->local);
}

/* Orders while a step is under way end the run, however many there are: nobody goes on to read them. */
static void test_early_orders(void **state)
{
    const struct base_error bye = {.code = BASE_ERR_CLOSED, .text = "the client was killed"};
    const struct eng_order next = {.kind = ENG_ORDER_STEP, .slots = 1};
    struct slots_stage *s = *state;
    struct slots_lane want = slots_lane(s, 3), lane = want;
    struct base_error error = {0};
    size_t vocab = s->model.source.shape->vocab;
    slots_open_parties(s, "full");
    slots_alone(s, &want);
    slots_begin(s, &lane);
    memset(s->remote.hot, 0, CHUNK * vocab * sizeof *s->remote.hot);
    for (int party = 0; party < 3; party++)
        send_order(s, party, 0, next);
    net_link_abort(s->links[0], &bye);
    check_ok(mpc_client_give(&s->remote.client, s->remote.hot, CHUNK * vocab, SEC_ROW_RING, &error), &error, "give");
    for (uint32_t number = 1; number < 200; number++)
        for (int party = 1; party <= 2; party++)
            send_order(s, party, number, next);
    /* On a busy machine a step may be over before the next order is there, which then has no rows. */
    check_refused(s, "while a step is under way", "frame field step", &want);
    eng_local_destroy(&s->local);
}

/* A client that ends its run with two parties and leaves the third in it, silent or with orders without end: that party ends, too. */
static void test_left_behind(void **state)
{
    const struct eng_order stop = {.kind = ENG_ORDER_STOP}, open = {.kind = ENG_ORDER_OPEN, .slots = 2, .prompt_tokens = 4, .new_tokens = 4},
                           close = {.kind = ENG_ORDER_CLOSE, .slots = 2};
    struct slots_stage *s = *state;
    struct slots_lane want = slots_lane(s, 3);
    slots_open_patient_parties(s, "full", 2000);
    slots_alone(s, &want);
    for (int behind = 0; behind < 3; behind++)
        for (int orders = 0; orders <= (behind == 0 ? 3000 : 0); orders += 3000) {
            struct slots_lane lane = slots_lane(s, 3);
            slots_begin(s, &lane);
            for (int party = 0; party < 3; party++)
                if (party != behind)
                    send_order(s, party, 0, stop);
            for (int i = 0; i < orders; i++)
                send_order(s, 0, (uint32_t)i, i % 2 == 0 ? open : close);
            check_refused(s, "left this party behind", NULL, &want);
        }
    eng_local_destroy(&s->local);
}

/* More orders than P0 keeps: those that it has no room for wait in its link. */
static void test_many_orders_ahead(void **state)
{
    enum { PAIRS = 20 };
    struct slots_stage *s = *state;
    struct slots_lane want = slots_lane(s, 3), got = want, *one = &got;
    struct eng_order o[2 * PAIRS];
    slots_open_parties(s, "full");
    slots_alone(s, &want);
    for (size_t i = 0; i < 2 * PAIRS; i++)
        o[i] = (struct eng_order){.kind = i % 2 == 0 ? ENG_ORDER_OPEN : ENG_ORDER_CLOSE, .slots = 2, .prompt_tokens = 9, .new_tokens = 3};
    for (int times = 0; times < 2; times++) {
        got = slots_lane(s, 3);
        got.expected = want.tokens;
        slots_begin(s, &got);
        if (times == 1)
            (void)slots_step(s, 1, &one, 1);
        /* P0 hears of all of them while it deals for the step before, or before it has begun. */
        for (size_t i = 0; i < 2 * PAIRS; i++)
            send_order(s, 0, s->remote.ordered++, o[i]);
        for (size_t i = 0; i < 2 * PAIRS; i++, s->remote.given++)
            for (int party = 1; party <= 2; party++)
                send_order(s, party, s->remote.given, o[i]);
        slots_read_prompt(s, 1, &got);
        while (got.count < NEW_TOKENS)
            (void)slots_step(s, 1, &one, 1);
        slots_end(s);
        assert_memory_equal(got.tokens, want.tokens, sizeof want.tokens);
    }
    eng_local_destroy(&s->local);
}

/* --- as bytes ------------------------------------------------------------------------------------------------------ */

static void test_order_bytes(void **state)
{
    struct base_error error = {0};
    struct net_link *client, *party;
    struct eng_order order = {.slots = UINT32_C(0x80000001), .prompt_tokens = 1000001, .new_tokens = 70002, .made_up = 303, .id = "id-of-it"}, back;
    (void)state;
    check_ok(net_memory_pair_create(&client, &party, "client", "P1", 1, 1 << 16, &error), &error, "links");
    for (uint32_t number = 0; number < ENG_ORDER_STOP; number++) {
        order.kind = (enum eng_order_kind)(number + 1);
        check_ok(eng_order_send(client, number, &order, &error), &error, "send");
        check_ok(eng_order_receive(party, number, &back, &error), &error, "receive");
        assert_int_equal(back.kind, order.kind);
        assert_int_equal(back.slots, order.slots);
        assert_int_equal(back.prompt_tokens, order.prompt_tokens);
        assert_int_equal(back.new_tokens, order.new_tokens);
        assert_int_equal(back.made_up, order.made_up);
        assert_memory_equal(back.id, order.id, sizeof order.id);
    }
    for (uint32_t kind = 0; kind <= ENG_ORDER_STOP + 1; kind += ENG_ORDER_STOP + 1) {
        order.kind = (enum eng_order_kind)kind;
        error = (struct base_error){0};
        check_ok(eng_order_send(client, 7, &order, &error), &error, "send");
        assert_int_equal(eng_order_receive(party, 7, &back, &error), BASE_ERR_PEER);
        assert_non_null(strstr(error.text, "must be 1 to 4"));
    }
    /* One that is not the next. */
    error = (struct base_error){0};
    order.kind = ENG_ORDER_STOP;
    check_ok(eng_order_send(client, 9, &order, &error), &error, "send");
    assert_int_equal(eng_order_receive(party, 8, &back, &error), BASE_ERR_PEER);
    net_link_destroy(&client);
    net_link_destroy(&party);
}

static void test_request_and_report_bytes(void **state)
{
    const struct eng_request request = {.prompt_tokens = 11, .new_tokens = 12, .chunk = 13, .made_up = 4, .mode = ENG_REQUEST_ARGMAX,
                                        .id = "id-of-it", .nonce = "nonce-of-request", .key1 = "key-one-of-these", .key2 = "key-two-of-these"};
    const struct eng_step_report report = {UINT64_MAX, UINT64_C(1) << 40, UINT32_MAX, 7, 8};
    struct eng_request back = {0};
    struct eng_step_report told;
    struct base_error error = {0};
    uint8_t bytes[ENG_REQUEST_BYTES + 1] = {0}, again[ENG_REQUEST_BYTES], word[ENG_STEP_REPORT_BYTES];
    (void)state;
    eng_request_encode(&request, bytes);
    check_ok(eng_request_decode(bytes, ENG_REQUEST_BYTES, &back, &error), &error, "request");
    eng_request_encode(&back, again);
    assert_memory_equal(again, bytes, sizeof again);
    assert_int_equal(back.mode, request.mode);
    assert_int_equal(back.made_up, request.made_up);
    assert_memory_equal(back.key2, request.key2, sizeof back.key2);
    for (size_t size = 0; size <= sizeof bytes; size += size < ENG_REQUEST_BYTES - 1 ? 1 : 2)
        assert_int_equal(eng_request_decode(bytes, size, &back, NULL), BASE_ERR_PEER);
    for (size_t i = 0; i < 8; i++) {
        bytes[i] ^= 1;
        assert_int_equal(eng_request_decode(bytes, ENG_REQUEST_BYTES, &back, NULL), BASE_ERR_PEER);
        bytes[i] ^= 1;
    }
    bytes[20] = ENG_REQUEST_ARGMAX + 1;
    assert_int_equal(eng_request_decode(bytes, ENG_REQUEST_BYTES, &back, NULL), BASE_ERR_PEER);
    eng_step_report_encode(&report, word);
    eng_step_report_decode(word, &told);
    assert_true(told.online == report.online && told.dealt == report.dealt && told.rounds == report.rounds &&
                told.milliseconds == report.milliseconds && told.waited == report.waited);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order_bytes), cmocka_unit_test(test_request_and_report_bytes),
                                       cmocka_unit_test(test_bad_orders), cmocka_unit_test(test_client_goes),
                                       cmocka_unit_test(test_early_orders), cmocka_unit_test(test_left_behind),
                                       cmocka_unit_test(test_many_orders_ahead), cmocka_unit_test(slots_test_draws)};
    return cmocka_run_group_tests(tests, slots_open_stage, slots_close_stage);
}
