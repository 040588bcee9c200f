/* Base OTs: keys, one message size, and every message that must be refused: replayed, reflected, edited, of another k. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/pair/support.h"

#include "pair/base_ot.h"

struct keys {
    int k[3];
    uint8_t choice[3][PAIR_BASE_OTS];
    struct pair_block chosen[3][PAIR_BASE_OTS], pair[3][PAIR_BASE_OTS][2];
};

static enum base_status make_keys(struct pair_party *p, void *context, struct base_error *error)
{
    struct keys *keys = context;
    enum base_status status = pair_base_ot(p, keys->k[p->id], keys->choice[p->id], keys->chosen[p->id], keys->pair[p->id], error);
    p->declared.exchanges = 1;
    p->declared.bytes[1] = p->declared.bytes[2] = PAIR_BASE_BYTES;
    return status;
}

static struct keys keys_for(uint64_t seed)
{
    struct keys keys = {.k = {0, 4, 4}};
    for (int id = 1; id <= 2; id++)
        for (int i = 0; i < PAIR_BASE_OTS; i++)
            keys.choice[id][i] = base_random_next(&seed) & 1;
    return keys;
}

static void test_keys(void **state)
{
    for (uint64_t seed = 0; seed < 3; seed++) {
        struct keys keys = keys_for(seed);
        struct pair_ran ran;
        pair_run_well((struct pair_run_options){.seed = seed}, make_keys, &keys, &ran);
        for (int id = 1; id <= 2; id++)
            for (int i = 0; i < PAIR_BASE_OTS; i++) {
                int bit = keys.choice[id][i];
                assert_memory_equal(&keys.chosen[id][i], &keys.pair[3 - id][i][bit], 16);
                assert_memory_not_equal(&keys.chosen[id][i], &keys.pair[3 - id][i][1 - bit], 16);
                assert_memory_not_equal(&keys.chosen[1][i], &keys.chosen[2][i], 16);
                assert_true(i == 0 || memcmp(&keys.chosen[id][i], &keys.chosen[id][i - 1], 16) != 0);
            }
    }
}

/* --- messages that are refused ----------------------------------------------------------------------------------------------------- */

/* P2 is the test: it keeps P1's message and sends bytes of its own; or P1 is. */
struct forged {
    int forger;
    struct keys keys;
    uint8_t kept[PAIR_BASE_BYTES], sent[PAIR_BASE_BYTES];
};

static enum base_status forge(struct pair_party *p, void *context, struct base_error *error)
{
    struct forged *f = context;
    enum base_status status;
    if (p->id != f->forger)
        return make_keys(p, &f->keys, error);
    TRY(pair_put_bytes(p, f->sent, sizeof f->sent, error));
    TRY(pair_await_bytes(p, f->kept, sizeof f->kept, error));
    TRY(pair_exchange(p, error));
out:
    return status;
}

/* P2's message in the session of `seed`. */
static void record(struct forged *f, uint64_t seed)
{
    struct pair_ran ran;
    f->forger = 1;
    pair_run_both((struct pair_run_options){.seed = seed}, forge, f, &ran);
    assert_int_equal(ran.status[1], BASE_OK);
    memcpy(f->sent, f->kept, sizeof f->sent);
    f->forger = 2;
}

/* P2's message of `seed` in a session, P2 having drawn the same in both. */
static void test_session_is_bound(void **state)
{
    struct forged a = {.forger = 1, .keys = keys_for(1)}, b = a;
    struct pair_ran ran;
    pair_run_both((struct pair_run_options){.seed = 5, .session = 77}, forge, &a, &ran);
    pair_run_both((struct pair_run_options){.seed = 5, .session = 78}, forge, &b, &ran);
    for (int i = 0; i < PAIR_BASE_OTS; i++) {
        const size_t at = PAIR_BASE_HEAD + 2 * PAIR_POINT * (size_t)i, drawn = at + PAIR_POINT * (size_t)(1 - a.keys.choice[2][i]),
                     made = at + PAIR_POINT * (size_t)a.keys.choice[2][i];
        assert_memory_equal(a.kept + drawn, b.kept + drawn, PAIR_POINT);
        assert_memory_not_equal(a.kept + made, b.kept + made, PAIR_POINT); /* it holds the session's hash */
    }
    struct keys one = keys_for(1), two = keys_for(1);
    pair_run_well((struct pair_run_options){.seed = 5, .session = 77}, make_keys, &one, &ran);
    pair_run_well((struct pair_run_options){.seed = 5, .session = 78}, make_keys, &two, &ran);
    for (int i = 0; i < PAIR_BASE_OTS; i++)
        for (int branch = 0; branch < 2; branch++)
            assert_memory_not_equal(&one.pair[1][i][branch], &two.pair[1][i][branch], 16);
}

static void check_refused(struct forged *f, uint64_t seed, enum base_status status, const char *text)
{
    struct pair_ran ran;
    pair_run_both((struct pair_run_options){.seed = seed}, forge, f, &ran);
    check_fails(ran.status[1], status, &ran.error[1], text);
}

static void test_refused(void **state)
{
    struct forged f = {.keys = keys_for(9)}, g, own;
    struct pair_ran ran;
    record(&f, 1);
    pair_run_both((struct pair_run_options){.seed = 1}, forge, &f, &ran); /* as it was */
    check_ok(ran.status[1], &ran.error[1]);
    own = f;
    check_refused(&f, 2, BASE_ERR_PEER, "P2: its base OT belongs to another session: it is refused, start a new session");
    g = f;
    memcpy(g.sent, own.kept, sizeof g.sent); /* P1's own message of this session comes back */
    check_refused(&g, 1, BASE_ERR_PEER, "its base OT says that it comes from P1, expected P2");
    g = f;
    g.sent[0] ^= 1;
    check_refused(&g, 1, BASE_ERR_PEER, "its message is no base OT");
    g = f;
    g.sent[4] = 2;
    check_refused(&g, 1, BASE_ERR_MISMATCH, "base OT of version 1 here, 2 there: run the same build");
    g = f;
    g.sent[6] = 8;
    check_refused(&g, 1, BASE_ERR_MISMATCH, "k of the OT extension is 4 here, 8 there: make both the same");
    static const size_t at[] = {PAIR_BASE_HEAD + 2 * PAIR_POINT * 5, PAIR_BASE_HEAD + PAIR_POINT * (2 * 127 + 1),
                                PAIR_BASE_HEAD + PAIR_POINT * (2 * PAIR_BASE_OTS + 64)};
    static const char *const text[] = {"base OT 5 holds no element", "base OT 127 holds no element", "base OT 64 holds no element"};
    for (int i = 0; i < 3; i++) {
        g = f;
        memset(g.sent + at[i], 0xff, PAIR_POINT);
        check_refused(&g, 1, BASE_ERR_PEER, text[i]);
    }
    g = f;
    memset(g.sent + at[2], 0, PAIR_POINT); /* the neutral element: every key would be known */
    check_refused(&g, 1, BASE_ERR_PEER, text[2]);
}

static enum base_status twice(struct pair_party *p, void *context, struct base_error *error)
{
    return pair_cot_start(p, 4, error);
}

/* A failed attempt counts: what it sent could be sent again. */
static enum base_status again(struct pair_party *p, void *context, struct base_error *error)
{
    struct keys *keys = context;
    struct base_error first = {0};
    enum base_status status = make_keys(p, keys, &first);
    if (status == BASE_OK)
        return base_fail(error, BASE_ERR_ARGUMENT, "the first attempt was to fail");
    return make_keys(p, keys, error);
}

static void test_once_in_a_session(void **state)
{
    struct pair_ran ran;
    struct keys keys = keys_for(2);
    keys.k[2] = 8;
    pair_run_both((struct pair_run_options){0}, again, &keys, &ran);
    for (int id = 1; id <= 2; id++)
        check_fails(ran.status[id], BASE_ERR_INTERNAL, &ran.error[id], "base OTs of this session were made before");
    pair_run_both((struct pair_run_options){.k = 4}, twice, NULL, &ran);
    for (int id = 1; id <= 2; id++)
        check_fails(ran.status[id], BASE_ERR_INTERNAL, &ran.error[id], "base OTs of this session were made before");
}

static void test_parties(void **state)
{
    struct pair_party p;
    struct base_error zero = {0}, third = {0};
    uint8_t session[PAIR_SESSION] = {0};
    check_fails(pair_party_init(&p, 1, kern_table_select(0), NULL, session, NULL, &zero), BASE_ERR_ARGUMENT, &zero, "agree on one first");
    session[3] = 1;
    check_fails(pair_party_init(&p, 0, kern_table_select(0), NULL, session, NULL, &third), BASE_ERR_ARGUMENT, &third, "it is 1 or 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_session_is_bound),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_once_in_a_session),
        cmocka_unit_test(test_parties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
