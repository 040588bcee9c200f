/* The profile of a model's heads and layers: what the probe finds in a model whose heads are known, and what
 * policies make of it. */
#include "tests/engine/decoder/model_support.h"

#include "kvcache/policy.h"

enum { PROMPT = 1000, CHUNK = 32 };

/* Layer 1 of this model begins with three heads that look for what followed the current token: its first KV
 * head. */
static void test_finds_induction(void **state)
{
    struct model model;
    (void)state;
    if (!model_open(&model, "models/keeper", (struct model_options){.context = 96}))
        skip();
    const struct kv_profile *p = &model.plan.profile;
    const size_t known = 1 * p->kv_heads + 0;
    struct base_error error = {0};
    check_ok(kv_profile_check(p, &error), &error, "profile");
    assert_int_equal(p->layers, model.source.shape->layers);
    assert_int_equal(p->kv_heads, model.source.shape->kv_heads);
    for (size_t i = 0; i < p->layers * p->kv_heads; i++)
        if (i != known) {
            assert_true(2 * p->head[i].score[KV_HEAD_INDUCTION] < p->head[known].score[KV_HEAD_INDUCTION]);
            assert_true(p->head[i].score[KV_HEAD_DEVIATION] > 0);
        }
    model_close(&model);
}

/* Odd extents, one KV head, no start token, texts as short as can be: a probe of every number is still a
 * number. */
static void test_odd_shape(void **state)
{
    (void)state;
    for (size_t length = 15; length <= 60; length += 9) {
        struct eng_weight_source source = eng_weights_synthetic(&model_odd_shape);
        struct base_error error = {0};
        struct eng_plan plan;
        int32_t tokens[60];
        for (size_t i = 0; i < length; i++)
            tokens[i] = (int32_t)(i * 7 % model_odd_shape.vocab);
        struct eng_calibration c = {.tokens = tokens,
                                    .lengths = &length,
                                    .sequences = 1,
                                    .context = 64,
                                    .general_attention = true,
                                    .profile = true};
        check_ok(eng_calibrate(&plan, &source, &c, NULL, NULL, &error), &error, "plan");
        assert_int_equal(plan.profile.layers, length < 16 ? 0 : model_odd_shape.layers);
        check_ok(kv_profile_check(&plan.profile, &error), &error, "profile");
        eng_plan_finish(&plan);
    }
}

/* --- policies on a profile made by hand ---------------------------------------------------------------- */

enum { LAYERS = 4, HEADS = 8, PER_LAYER = 2 }; /* PER_LAYER: KV heads */

/* Head 1 of layer 2 retrieves, head 0 of layer 0 echoes and loses most by a window; attention gathers from
 * layer to layer. */
static struct kv_profile by_hand(void)
{
    struct kv_profile p;
    struct base_error error = {0};
    check_ok(kv_profile_init_uniform(&p, LAYERS, PER_LAYER, &error), &error, "profile");
    p.head[2 * PER_LAYER + 1].score[KV_HEAD_INDUCTION] = KV_PROFILE_ONE + 1;
    p.head[0].score[KV_HEAD_ECHO] = KV_PROFILE_ONE + 1;
    p.head[0].score[KV_HEAD_DEVIATION] = KV_PROFILE_MOST_SCORE;
    for (size_t l = 0; l < LAYERS; l++)
        for (size_t i = 0; i < KV_CURVE_POINTS; i++) {
            int more = p.curve[l * KV_CURVE_POINTS + i] * ((int)l + 1);
            p.curve[l * KV_CURVE_POINTS + i] = more > KV_PROFILE_ONE ? KV_PROFILE_ONE : more;
        }
    check_ok(kv_profile_check(&p, &error), &error, "profile");
    return p;
}

static enum base_status make_for(struct kv_plan *ret, const char *text, const struct kv_profile *profile,
                                 size_t prompt, size_t context, struct base_error *error)
{
    const struct kv_policy *policy;
    struct kv_config config;
    *error = (struct base_error){0};
    struct kv_dims dims = {.layers = LAYERS,
                           .heads = HEADS,
                           .kv_heads = PER_LAYER,
                           .prompt = prompt,
                           .context = context,
                           .chunk = CHUNK,
                           .profile = profile};
    check_ok(kv_config_parse(text, 0, &policy, &config, error), error, text);
    return kv_plan_make(ret, policy, &config, dims, error);
}

static enum base_status make(struct kv_plan *ret, const char *text, const struct kv_profile *profile,
                             struct base_error *error)
{
    return make_for(ret, text, profile, PROMPT, PROMPT + 100, error);
}

static bool is_full(const struct kv_plan *plan, size_t layer, size_t head)
{
    return plan->layer[layer].decode[head].window == 0;
}

static void test_streaming(void **state)
{
    static const struct {
        const char *policy;
        size_t layer, head; /* which is full before all others */
        size_t full, rows;  /* heads, and rows of the others */
        bool prompt;        /* rows of the prompt stream, too */
    } cases[] = {{"razor", 2, 1, 2, 204, false},
                 {"razor:full=10:window=60", 2, 1, 1, 64, false},
                 {"razor:budget=50", 2, 1, 2, 333, false},
                 {"razor:budget=50:full=25:sinks=0", 2, 1, 2, 333, false},
                 {"duo", 0, 0, 4, 128, true},
                 {"duo:budget=25", 0, 0, 1, 142, true},
                 {"duo:full=100", 0, 0, 8, 0, true},
                 {"duo:full=1:window=2000", 0, 0, 1, 2004, true}};
    struct kv_profile profile = by_hand();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kv_plan plan;
        struct base_error error = {0};
        size_t full = 0;
        check_ok(make(&plan, cases[i].policy, &profile, &error), &error, cases[i].policy);
        assert_true(is_full(&plan, cases[i].layer, cases[i].head));
        for (size_t l = 0; l < LAYERS; l++) {
            size_t here = 0;
            for (size_t h = 0; h < PER_LAYER; h++) {
                struct kv_span own = plan.layer[l].decode[h];
                here += is_full(&plan, l, h);
                assert_int_equal(plan.layer[l].prompt[h].window, cases[i].prompt ? own.window : 0);
                if (!is_full(&plan, l, h))
                    assert_int_equal(own.sinks + own.window, cases[i].rows);
            }
            /* Memory shrinks where every head streams. */
            assert_int_equal(plan.layer[l].rolls, here == 0 && cases[i].prompt);
            full += here;
        }
        assert_int_equal(full, cases[i].full);
        kv_plan_finish(&plan);
    }
    kv_profile_finish(&profile);
}

/* One head in 15 is for echoes. */
static void test_echoes(void **state)
{
    struct kv_profile profile = by_hand();
    struct kv_plan plan;
    struct base_error error = {0};
    (void)state;
    profile.head[0].score[KV_HEAD_INDUCTION] = 0;
    check_ok(make(&plan, "razor:full=80", &profile, &error), &error, "razor");
    assert_false(is_full(&plan, 0, 0));
    kv_plan_finish(&plan);
    check_ok(make(&plan, "razor:full=90", &profile, &error), &error, "razor");
    assert_true(is_full(&plan, 0, 0));
    kv_plan_finish(&plan);
    kv_profile_finish(&profile);
}

static void test_budgets(void **state)
{
    struct kv_profile profile = by_hand();
    (void)state;
    for (uint32_t budget = 4; budget <= 100; budget++) {
        char text[64];
        struct kv_plan plan;
        struct base_error error = {0};
        size_t sum = 0;
        (void)snprintf(text, sizeof text, "prefixkv:budget=%u", budget);
        check_ok(make(&plan, text, &profile, &error), &error, text);
        for (size_t l = 0; l < LAYERS; l++) {
            size_t keep = plan.layer[l].evict.keep;
            sum += keep;
            assert_true(keep <= PROMPT);
            /* Layers that gather their attention keep less, but for rows that rounding leaves. */
            assert_true(l == 0 || keep <= plan.layer[l - 1].evict.keep + 1);
        }
        assert_int_equal(sum, (size_t)LAYERS * PROMPT / 100 * budget);
        kv_plan_finish(&plan);
    }
    kv_profile_finish(&profile);
}

/* Rows grow with the level from none to all. */
static void test_levels(void **state)
{
    struct kv_profile profile = by_hand();
    (void)state;
    for (size_t l = 0; l < LAYERS; l++) {
        size_t last = 0;
        for (int level = 0; level <= KV_LEVEL_ONE; level += 997) {
            size_t rows = kv_profile_rows(&profile, l, PROMPT, level);
            assert_true(rows >= last && rows <= PROMPT);
            last = rows;
        }
        assert_int_equal(kv_profile_rows(&profile, l, PROMPT, 0), 0);
    }
    assert_int_equal(kv_profile_rows(&profile, 0, PROMPT, KV_LEVEL_ONE), PROMPT);
    assert_int_equal(kv_profile_rows(&profile, 0, PROMPT, KV_LEVEL_ONE / 4), PROMPT / 4);
    assert_int_equal(kv_profile_rows(&profile, 1, PROMPT, KV_LEVEL_ONE / 2), PROMPT / 4);
    kv_profile_finish(&profile);
}

/* A cache that was laid out for a whole context holds every shorter request. */
static void test_shorter_requests(void **state)
{
    static const char *const policies[] = {"razor",         "razor:budget=30",       "duo",
                                           "duo:budget=30", "duo:budget=40:full=25", "prefixkv:budget=60"};
    enum { ANSWER = 10 };
    struct kv_profile profile = by_hand();
    (void)state;
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        struct kv_plan most, plan;
        struct base_error error = {0};
        check_ok(make_for(&most, policies[i], &profile, PROMPT, PROMPT, &error), &error, policies[i]);
        for (size_t prompt = 60; prompt + ANSWER <= PROMPT; prompt++) {
            check_ok(make_for(&plan, policies[i], &profile, prompt, prompt + ANSWER, &error), &error,
                     policies[i]);
            for (size_t l = 0; l < LAYERS; l++)
                assert_true(plan.layer[l].capacity <= most.layer[l].capacity);
            kv_plan_finish(&plan);
        }
        kv_plan_finish(&most);
    }
    kv_profile_finish(&profile);
}

static void test_refused(void **state)
{
    static const struct {
        const char *policy, *says;
    } cases[] = {{"razor:budget=25:full=50", "4 of 8 heads full"},
                 {"duo:budget=10", "raise the budget"},
                 {"duo:budget=25:window=9", "give one of them"},
                 {"prefixkv", "a budget is missing"},
                 {"prefixkv:budget=2", "is smaller than"}};
    struct kv_profile profile = by_hand(), none = {0}, small;
    struct kv_plan plan;
    struct base_error error = {0};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(make(&plan, cases[i].policy, &profile, &error), BASE_ERR_ARGUMENT);
        if (strstr(error.text, cases[i].says) == NULL)
            (void)fprintf(stderr, "wanted \"%s\", got %s\n", cases[i].says, error.text);
        assert_non_null(strstr(error.text, cases[i].says));
    }
    check_ok(kv_profile_init_uniform(&small, LAYERS, 1, &error), &error, "profile");
    for (const struct kv_policy *const *policy = kv_policy_list(); *policy != NULL; policy++)
        if ((*policy)->reads_profile) {
            assert_int_equal(make(&plan, (*policy)->name, NULL, &error), BASE_ERR_ARGUMENT);
            assert_non_null(strstr(error.text, "needs a profile"));
            assert_int_equal(make(&plan, (*policy)->name, &none, &error), BASE_ERR_ARGUMENT);
            assert_non_null(strstr(error.text, "needs a profile"));
            assert_int_equal(make(&plan, (*policy)->name, &small, &error), BASE_ERR_ARGUMENT);
            assert_non_null(strstr(error.text, "4 layers of 1 KV heads"));
        }
    kv_profile_finish(&small);
    kv_profile_finish(&profile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_induction),  cmocka_unit_test(test_odd_shape),
        cmocka_unit_test(test_streaming),        cmocka_unit_test(test_echoes),
        cmocka_unit_test(test_budgets),          cmocka_unit_test(test_levels),
        cmocka_unit_test(test_shorter_requests), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
