/* Cache policies as functions from public numbers to plans: what they refuse and how they say it, texts that
 * read back as they were written, and sizes that hold for every short or odd request. */
#include "base/memory.h"
#include "kvcache/policy.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

enum { LAYERS = 5, HEADS = 6, GROUPS = 2, CHUNK = 28 };

static struct kv_dims dims_of(size_t prompt, size_t answer, const struct kv_profile *profile)
{
    return (struct kv_dims){.layers = LAYERS,
                            .heads = HEADS,
                            .kv_heads = GROUPS,
                            .prompt = prompt,
                            .context = prompt + answer,
                            .chunk = CHUNK,
                            .profile = profile};
}

static enum base_status make(const char *text, uint32_t budget, struct kv_dims dims, struct kv_plan *ret,
                             struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct kv_policy *policy;
    struct kv_config config;
    TRY(kv_config_parse(text, budget, &policy, &config, error));
    TRY(kv_plan_make(ret, policy, &config, dims, error));
out:
    return status;
}

/* --- refused --- */

static void test_refused(void **state)
{
    static const struct {
        const char *text;
        uint32_t budget;
        const char *says;
    } bad[] = {
        {"", 0, "there is no cache policy \"\""},
        {"nope", 25, "there is no cache policy \"nope\": choose one of full, window"},
        {"select:score", 25, "\"score\" must be KEY=VALUE"},
        {"select:size=3", 25, "policy select has no \"size\": it takes budget, keep"},
        {"select:score=best", 25, "score is \"best\": must be one of mean, squares, box, alpha"},
        {"select:reuse=0", 25, "reuse is \"0\": must be a whole number of 1 to 1024"},
        {"select:reuse=4x", 25, "reuse is \"4x\""},
        {"select:budget=101", 0, "budget is \"101\""},
        {"snapkv", 101, "a budget of 101 %"},
        {"snapkv", 0, "a budget is missing"},
        {"select", 0, "a budget is missing"},
        {"mpcache", 0, "a budget is missing"},
        {"refresh", 0, "a budget is missing"},
        {"blocks", 5, "is smaller than sinks, window and a unit"},
        {"refresh:unit=64", 10, "is smaller than sinks, window and a unit"},
        {"refresh:unit=6", 25, "units of 6 rows"},
        {"refresh:before=6:probe=4", 25, "are not whole probes of 4"},
        {"refresh:unit=2:before=0:probe=4", 25, "are not whole probes of 4"},
        {"refresh:reuse=1:probe=0", 25, "would attend to every row in every step"},
        {"select:async=1:score=box", 25, "cannot be chosen ahead"},
        {"select:async=1:share=2", 25, "cannot share sets: drop one"},
        {"select:static=10", 25, "fewer than the"},
        {"mpcache:keep=100:static=10", 0, "fewer than the"},
        {"snapkv:pool=4", 25, "pool is 4: must be odd"},
        {"bounded:chunk=100", 25, "are not whole units of 16"},
        {"h2o:every=3:unit=2", 25, "must be whole units of 2"},
        {"blocks:means=1:heads=1", 25, "mean rows need"},
        {"window", 0, "window is 0"},
        {"razor", 25, "needs a profile"},
        {"duo", 25, "needs a profile"},
        {"prefixkv", 25, "needs a profile"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct kv_plan plan = {0};
        struct base_error error = {0};
        enum base_status status = make(bad[i].text, bad[i].budget, dims_of(512, 32, NULL), &plan, &error);
        if (status != BASE_ERR_ARGUMENT || strstr(error.text, bad[i].says) == NULL)
            print_error("%s at %u: %d, %s\n", bad[i].text, bad[i].budget, (int)status, error.text);
        assert_int_equal(status, BASE_ERR_ARGUMENT);
        assert_non_null(strstr(error.text, bad[i].says));
        assert_null(plan.layer);
    }
}

/* --- texts --- */

static void check_text(const struct kv_policy *policy, const struct kv_config *config)
{
    char text[KV_CONFIG_TEXT];
    const struct kv_policy *read;
    struct kv_config again;
    struct base_error error = {0};
    kv_config_print(policy, config, text);
    assert_int_equal(kv_config_parse(text, 0, &read, &again, &error), BASE_OK);
    assert_ptr_equal(read, policy);
    assert_memory_equal(config, &again, sizeof again);
}

/* The standard values, every key at its ends, and all of them at once. */
static void test_texts(void **state)
{
    (void)state;
    for (const struct kv_policy *const *p = kv_policy_list(); *p != NULL; p++) {
        struct kv_config standard = {{0}};
        for (size_t i = 0; i < (*p)->options_count; i++)
            standard.value[(*p)->options[i].key] = (*p)->options[i].standard;
        check_text(*p, &standard);
        struct kv_config all = standard;
        for (size_t i = 0; i < (*p)->options_count; i++) {
            enum kv_key key = (*p)->options[i].key;
            struct kv_config config = standard;
            config.value[key] = kv_key_entry(key)->low;
            check_text(*p, &config);
            config.value[key] = all.value[key] = kv_key_entry(key)->high;
            check_text(*p, &config);
        }
        check_text(*p, &all);
    }
}

/* --- sizes --- */

static void check_eviction(const struct kv_layer_plan *layer, const struct kv_dims *d)
{
    const struct kv_eviction_plan *e = &layer->evict;
    struct kv_eviction_sizes sizes;
    if (!kv_eviction_sizes(e, d->prompt, &sizes))
        return;
    size_t left = e->first + sizes.kept * e->unit + sizes.tail;
    assert_true(sizes.kept < sizes.units);
    assert_true(sizes.tail >= e->last);
    assert_int_equal(e->first + sizes.units * e->unit + sizes.tail, d->prompt);
    assert_true(left <= e->keep && left + e->unit > e->keep);
    assert_true(left < layer->capacity || d->context == d->prompt);
}

static void check_plan(const struct kv_plan *plan)
{
    const struct kv_dims *d = &plan->dims;
    assert_true(plan->chunk >= 1 && plan->chunk <= d->chunk);
    for (size_t l = 0; l < d->layers; l++) {
        const struct kv_layer_plan *layer = &plan->layer[l];
        const struct kv_selection_plan *s = &layer->select;
        assert_true(layer->capacity >= 1 && layer->capacity <= d->context);
        check_eviction(layer, d);
        assert_true(s->set_of <= l && plan->layer[s->set_of].select.set_of == s->set_of);
        if (s->units == 0)
            continue;
        assert_true(s->reuse >= 1 && layer->capacity >= s->first + s->units * s->unit + s->last);
        if (s->score == KV_SCORE_ATTENTION)
            assert_true(s->probe >= 1 && s->unit % s->probe == 0 && s->before % s->probe == 0);
    }
}

static size_t check_request(const char *text, uint32_t budget, struct kv_dims dims)
{
    struct kv_plan plan = {0};
    struct base_error error = {0};
    enum base_status status = make(text, budget, dims, &plan, &error);
    assert_true(status == BASE_OK || (status == BASE_ERR_ARGUMENT && error.text[0] != '\0'));
    if (status == BASE_OK)
        check_plan(&plan);
    kv_plan_finish(&plan);
    return status == BASE_OK;
}

/* Every policy with every budget on requests of every length: a plan that holds, or an error. */
static void test_sizes(void **state)
{
    static const size_t prompts[] = {1, 2, 3, 5, 15, 16, 17, 36, 63, 64, 65, 100, 255, 512, 2048, 24577};
    static const size_t answers[] = {0, 1, 17, 300};
    static const uint32_t budgets[] = {0, 1, 5, 25, 50, 99, 100};
    static const char *const more[] = {"select:unit=4:window=1:sinks=0:static=60",
                                       "mpcache:static=100:unit=4",
                                       "select:score=box:reuse=1",
                                       "refresh:unit=16:before=16:probe=16",
                                       "refresh:unit=8:before=6:probe=0",
                                       "snapkv:unit=8:means=1:heads=0",
                                       "bounded:chunk=64:unit=4:window=4"};
    struct kv_profile profile;
    struct base_error error = {0};
    size_t plans = 0, policies = 0;
    (void)state;
    assert_int_equal(kv_profile_init_uniform(&profile, LAYERS, GROUPS, &error), BASE_OK);
    for (size_t p = 0; p < sizeof prompts / sizeof *prompts; p++)
        for (size_t a = 0; a < sizeof answers / sizeof *answers; a++)
            for (size_t b = 0; b < sizeof budgets / sizeof *budgets; b++) {
                struct kv_dims dims = dims_of(prompts[p], answers[a], &profile);
                for (policies = 0; kv_policy_list()[policies] != NULL; policies++)
                    plans += check_request(kv_policy_list()[policies]->name, budgets[b], dims);
                for (size_t m = 0; m < sizeof more / sizeof *more; m++)
                    plans += check_request(more[m], budgets[b], dims);
            }
    print_message("%zu policies, %zu plans\n", policies, plans);
    assert_true(plans > 1000);
    kv_profile_finish(&profile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused), cmocka_unit_test(test_texts),
                                       cmocka_unit_test(test_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
