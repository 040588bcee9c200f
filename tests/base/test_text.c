/* Texts: the name nearest to a misspelt one. */
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *nearest(const char *given, const char *const *names)
{
    struct base_text_guess guess = {.given = given};
    for (; *names != NULL; names++)
        base_text_offer(&guess, *names);
    return guess.nearest;
}

static void test_nearest(void **state)
{
    static const char *const names[] = {"up", "generate", "keygen", "plan", "config", "cost", "completion", NULL};
    static const struct {
        const char *given, *want;
    } cases[] = {
        {"genrate", "generate"},  {"generates", "generate"}, {"egnerate", "generate"}, {"keygem", "keygen"}, {"pan", "plan"},
        {"conf", "config"},       {"comp", "completion"},    {"cots", "cost"},         {"plan", "plan"},     {"zzzzzz", NULL},
        {"", NULL},               {"x", NULL},               {"no-such-thing", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = nearest(cases[i].given, names);
        if (cases[i].want == NULL)
            assert_null(got);
        else
            assert_string_equal(got, cases[i].want);
    }
}

/* The first of two that are equally near; and names at the limit of length. */
static void test_limits(void **state)
{
    static const char *const two[] = {"abx", "aby", NULL};
    char longest[BASE_TEXT_NAME], longer[BASE_TEXT_NAME + 1];
    const char *names[] = {longest, longer, NULL};
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_ptr_equal(nearest("abc", two), two[0]);
    assert_ptr_equal(nearest(longest, names), longest);
    assert_null(nearest(longer, names));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nearest), cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
