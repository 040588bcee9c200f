/* The numeric plan: its file, its digest, and each condition refused by name. */
#include "tests/protocols/check.h"

#include "engine/plan.h"

#include <jansson.h>
#include <unistd.h>

enum { LAYERS = 2, HEADS = 3, WIDTH = 64 };

struct place {
    char directory[64], path[96];
};

static int make_place(void **state)
{
    struct place *place = must_alloc(1, sizeof *place);
    (void)snprintf(place->directory, sizeof place->directory, "/tmp/cachet-plan-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    (void)snprintf(place->path, sizeof place->path, "%s/plan.json", place->directory);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    (void)unlink(place->path);
    (void)rmdir(place->directory);
    free(place);
    return 0;
}

static struct eng_plan typical(void)
{
    struct eng_plan plan;
    struct base_error error = {0};
    check_ok(eng_plan_init(&plan, LAYERS, HEADS, 100, &error), &error, "plan");
    eng_plan_set_typical(&plan, WIDTH, 1e-5, 5);
    memset(plan.model, 'a', 64);
    check_ok(eng_plan_check(&plan, &error), &error, "typical");
    return plan;
}

static void test_round_trip(void **state)
{
    struct place *place = *state;
    struct base_error error = {0};
    struct eng_plan plan = typical(), back, copy;
    uint8_t a[32], b[32];
    check_ok(eng_plan_write(&plan, place->path, &error), &error, "write");
    check_ok(eng_plan_read(&back, place->path, &error), &error, "read");
    check_ok(eng_plan_copy(&copy, &back, &error), &error, "copy");
    check_ok(eng_plan_digest(&plan, a, &error), &error, "digest");
    check_ok(eng_plan_digest(&copy, b, &error), &error, "digest");
    assert_memory_equal(a, b, sizeof a);
    assert_memory_equal(plan.layer, back.layer, LAYERS * sizeof *plan.layer);
    back.layer[1].bits[ENG_V]++;
    check_ok(eng_plan_digest(&back, b, &error), &error, "digest");
    assert_memory_not_equal(a, b, sizeof a);
    eng_plan_finish(&plan);
    eng_plan_finish(&back);
    eng_plan_finish(&copy);
}

static void expect_refused(const struct place *place, const char *text, enum base_status want,
                           const char *says)
{
    struct base_error error = {0};
    struct eng_plan plan = {.fx = -7};
    FILE *file = fopen(place->path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
    enum base_status status = eng_plan_read(&plan, place->path, &error);
    if (status != want || strstr(error.text, says) == NULL || strstr(error.text, "plan.json") == NULL)
        (void)fprintf(stderr, "wanted \"%s\", got %s: %s\n", says, base_status_name(status), error.text);
    assert_int_equal(status, want);
    assert_non_null(strstr(error.text, says));
    assert_non_null(strstr(error.text, "plan.json"));
    assert_int_equal(plan.fx, -7);
}

/* The file of a good plan as an object to spoil. */
static json_t *good_file(const struct place *place)
{
    struct base_error error = {0};
    struct eng_plan plan = typical();
    check_ok(eng_plan_write(&plan, place->path, &error), &error, "write");
    eng_plan_finish(&plan);
    json_t *root = json_load_file(place->path, 0, NULL);
    assert_non_null(root);
    return root;
}

static void refuse_object(const struct place *place, json_t *root, enum base_status want, const char *says)
{
    char *text = json_dumps(root, 0);
    expect_refused(place, text, want, says);
    free(text);
    json_decref(root);
}

static void test_every_field_counts(void **state)
{
    struct place *place = *state;
    json_t *root = good_file(place), *value;
    const char *key;
    json_object_foreach(root, key, value)
    {
        char quoted[80];
        (void)snprintf(quoted, sizeof quoted, "\"%s\"", key);
        json_t *missing = json_deep_copy(root), *wrong = json_deep_copy(root);
        (void)json_object_del(missing, key);
        refuse_object(place, missing, BASE_ERR_FORMAT,
                      strcmp(key, "layers") == 0 || strcmp(key, "model") == 0 || strcmp(key, "format") == 0
                          ? quoted
                          : "field");
        (void)json_object_set_new(wrong, key, json_string("7"));
        refuse_object(place, wrong, BASE_ERR_FORMAT, quoted);
    }
    json_decref(root);
}

static void test_hostile_files(void **state)
{
    struct place *place = *state;
    json_t *root = good_file(place);
    (void)json_object_set_new(root, "extra", json_integer(1));
    refuse_object(place, root, BASE_ERR_FORMAT, "unknown field");
    root = good_file(place);
    (void)json_object_set_new(root, "format", json_integer(9));
    refuse_object(place, root, BASE_ERR_SUPPORT, "plan format 9");
    root = good_file(place);
    (void)json_object_set_new(root, "ring", json_integer(65));
    refuse_object(place, root, BASE_ERR_FORMAT, "\"ring\" is 65");
    root = good_file(place);
    (void)json_object_set_new(json_object_get(json_array_get(json_object_get(root, "layers"), 1), "bits"),
                              "uq", json_integer(1000));
    refuse_object(place, root, BASE_ERR_FORMAT, "layer 1");
    expect_refused(place, "", BASE_ERR_IO, "not a regular file with content");
    expect_refused(place, "[]", BASE_ERR_FORMAT, "not a JSON object");
    expect_refused(place, "{\"format\": 1, \"format\": 1}", BASE_ERR_FORMAT, "duplicate");
    expect_refused(place, "{\"format\": 1,", BASE_ERR_FORMAT, "");
    struct base_error error = {0};
    struct eng_plan plan;
    (void)unlink(place->path);
    assert_int_equal(eng_plan_read(&plan, place->path, &error), BASE_ERR_IO);
    assert_non_null(strstr(error.text, place->path));
}

/* Numbers that each lie in their range and together break a condition. */
static void test_conditions(void **state)
{
    (void)state;
    struct {
        const char *says;
        int which, value;
    } cases[] = {{"u with RoPE", 0, 40},     {"sum e v", 1, 40}, {"W_down h", 2, 40}, {"1 / rms", 3, 60},
                 {"1 / rms, least", 3, -60}, {"sum x^2", 4, 60}, {"sum x^2", 4, -60}, {"mean square", 5, 60},
                 {"g needs", 6, 40},         {"scores", 7, 16}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct eng_plan plan = typical();
        struct base_error error = {0};
        struct eng_layer_plan *l = &plan.layer[1];
        int *field[] = {&l->bits[ENG_UQ], &l->bits[ENG_V], &l->bits[ENG_YD], &l->ft[1],
                        &l->fs[0],        &l->low[0],      &l->bits[ENG_G],  &plan.fs};
        *field[cases[i].which] = cases[i].value;
        if (cases[i].which == 7)
            plan.fu = 4;
        enum base_status status = eng_plan_check(&plan, &error);
        if (status != BASE_ERR_RANGE || strstr(error.text, cases[i].says) == NULL)
            (void)fprintf(stderr, "wanted \"%s\", got %s: %s\n", cases[i].says, base_status_name(status),
                          error.text);
        assert_int_equal(status, BASE_ERR_RANGE);
        assert_non_null(strstr(error.text, cases[i].says));
        assert_non_null(strstr(error.text, cases[i].which == 7 ? "layer 0" : "layer 1"));
        eng_plan_finish(&plan);
    }
}

/* --- ceilings ------------------------------------------------------------------------------------------ */

/* Every layer with ceilings: two ranges, and heads of every kind. */
static struct eng_plan with_ceilings(void)
{
    struct eng_plan plan = typical();
    struct base_error error = {0};
    for (size_t l = 0; l < LAYERS; l++) {
        struct eng_layer_plan *layer = &plan.layer[l];
        struct eng_head_plan *head = plan.head + l * HEADS;
        layer->attention = ENG_ATTENTION_CEILINGS;
        layer->wave = ENG_WAVE_WIDE;
        layer->headroom = 20;
        layer->range[0] = (struct eng_range_plan){40, 4};
        layer->range[1] = (struct eng_range_plan){96, 4};
        head[0] = (struct eng_head_plan){150, ENG_FROM_ZERO, 0};
        head[1] = (struct eng_head_plan){-30, ENG_FROM_OWN, 1};
        head[2] = (struct eng_head_plan){400, ENG_FROM_MAXIMUM, 1};
    }
    check_ok(eng_plan_check(&plan, &error), &error, "ceilings");
    return plan;
}

/* One field of layer 1 with ceilings at a time, and what refuses it: NULL where it is good. */
static void test_conditions_of_ceilings(void **state)
{
    (void)state;
    enum { HEADROOM, FIRST, SECOND, FIRST_CELLS, SECOND_CELLS, RANGE, FROM, V, Q, UV, YO };
    static const struct {
        const char *says;
        int which, value;
    } cases[] = {{"headroom needs 41.0 bits and has 40", HEADROOM, 41},
                 {"headroom, least", HEADROOM, 0},
                 {"headroom of heads that find a maximum", HEADROOM, 12},
                 {NULL, HEADROOM, 13},
                 {"first range of scores, least", FIRST, 3},
                 {"first range of scores, least", FIRST, 0},
                 {"first range of scores, least", FIRST, -8},
                 {"range of scores needs", SECOND, ENG_MOST_RANGE + 1},
                 {"range of scores, least", SECOND, -4},
                 {"range of a head", SECOND, 0},
                 {"range of a head", SECOND, 3},
                 {"cells of the guard, least", FIRST_CELLS, 3},
                 {"cells of the guard needs 7.0 bits and has 6", SECOND_CELLS, 7},
                 {"cells of the guard, least", SECOND_CELLS, 0},
                 {NULL, SECOND_CELLS, 6},
                 {NULL, RANGE, 0},
                 {"range of heads that find a maximum", FROM, ENG_FROM_MAXIMUM},
                 {"sum e v", V, 30},
                 {"fraction of 1 / S, least", YO, 16},
                 {"q or k", Q, 20},
                 {"u_v", UV, 30}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct eng_plan plan = with_ceilings();
        struct base_error error = {0};
        struct eng_layer_plan *l = &plan.layer[1];
        struct eng_head_plan *head = plan.head + HEADS;
        int *field[] = {&l->headroom,           &l->range[0].bits, &l->range[1].bits, &l->range[0].log_cells,
                        &l->range[1].log_cells, &head[1].range,    &head[0].from,     &l->bits[ENG_V],
                        &l->bits[ENG_Q],        &l->bits[ENG_UV],  &l->bits[ENG_YO]};
        *field[cases[i].which] = cases[i].value;
        enum base_status status = eng_plan_check(&plan, &error);
        bool right = cases[i].says == NULL
                         ? status == BASE_OK
                         : status == BASE_ERR_RANGE && strstr(error.text, "layer 1") != NULL &&
                               strstr(error.text, cases[i].says) != NULL;
        if (!right)
            (void)fprintf(stderr, "wanted \"%s\", got %s: %s\n", cases[i].says == NULL ? "" : cases[i].says,
                          base_status_name(status), error.text);
        assert_true(right);
        eng_plan_finish(&plan);
    }
}

/* The rms that multiplies the biases of logits; no condition of it holds a plan back whose logits have none.
 */
static void test_root_conditions(void **state)
{
    static const struct {
        const char *says; /* NULL: good */
        int low, high;
    } cases[] = {{NULL, 0, 0},
                 {NULL, -5, 3},
                 {NULL, -40, -30},
                 {"range of the final mean square needs 4.0 bits and has 3", 4, 3},
                 {"final sum x^2", -5, 60},
                 {"final sum x^2", -60, 30}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct eng_plan plan = with_ceilings();
        struct base_error error = {0};
        plan.final_low = cases[i].low;
        plan.final_high = cases[i].high;
        enum base_status status = eng_plan_check(&plan, &error);
        if (cases[i].says == NULL) {
            check_ok(status, &error, "range of the final mean square");
        } else {
            assert_int_equal(status, BASE_ERR_RANGE);
            assert_non_null(strstr(error.text, cases[i].says));
        }
        eng_plan_finish(&plan);
    }
}

/* Every number of every head and range is written, read, copied and in the digest. */
static void test_heads_count(void **state)
{
    struct place *place = *state;
    enum { RANGE_NUMBERS = 2 * ENG_RANGES, NUMBERS = 3 * HEADS + RANGE_NUMBERS + 1 };
    struct base_error error = {0};
    uint8_t before[32], after[32];
    for (size_t i = 0; i < (size_t)NUMBERS; i++) {
        struct eng_plan plan = with_ceilings(), back, copy;
        struct eng_layer_plan *l = &plan.layer[1];
        struct eng_head_plan *head = plan.head + HEADS;
        check_ok(eng_plan_digest(&plan, before, &error), &error, "digest");
        check_ok(eng_plan_copy(&copy, &plan, &error), &error, "copy");
        int *number = i < 3 * HEADS
                          ? (int *)&head[i / 3] + i % 3
                          : (int *)&l->range[(i - 3 * HEADS) / 2 % ENG_RANGES] + (i - 3 * HEADS) % 2;
        if (i == (size_t)NUMBERS - 1)
            number = &l->headroom;
        /* Another number that is good by itself. */
        *number += i % 3 == 1 && i < 3 * HEADS   ? (*number == ENG_FROM_ZERO ? 1 : -1)
                   : i % 3 == 2 && i < 3 * HEADS ? 1 - 2 * *number
                                                 : 1;
        check_ok(eng_plan_digest(&plan, after, &error), &error, "digest");
        assert_memory_not_equal(before, after, sizeof before);
        check_ok(eng_plan_write(&plan, place->path, &error), &error, "write");
        check_ok(eng_plan_read(&back, place->path, &error), &error, "read");
        assert_memory_equal(back.head, plan.head, LAYERS * HEADS * sizeof *plan.head);
        assert_memory_equal(back.layer, plan.layer, LAYERS * sizeof *plan.layer);
        /* The copy has numbers of its own. */
        check_ok(eng_plan_digest(&copy, after, &error), &error, "digest");
        assert_memory_equal(before, after, sizeof before);
        eng_plan_finish(&plan);
        eng_plan_finish(&back);
        eng_plan_finish(&copy);
    }
}

/* Lists that are too short, too long, or hold what no head can be. */
static void test_hostile_heads(void **state)
{
    struct place *place = *state;
    static const struct {
        const char *list;
        int value;
    } cases[] = {{"head_ceiling", 4001},
                 {"head_ceiling", -4001},
                 {"head_from", 3},
                 {"head_from", -1},
                 {"head_range", 2},
                 {"head_range", -1},
                 {"range_bits", ENG_MOST_RANGE + 1},
                 {"range_bits", -1},
                 {"range_log_cells", 7},
                 {"range_log_cells", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int change = 0; change < 3; change++) {
            json_t *root = good_file(place);
            json_t *list = json_object_get(json_array_get(json_object_get(root, "layers"), 1), cases[i].list);
            if (change == 0)
                (void)json_array_set_new(list, 1, json_integer(cases[i].value));
            else if (change == 1)
                (void)json_array_remove(list, 1);
            else
                (void)json_array_append_new(list, json_integer(0));
            refuse_object(place, root, BASE_ERR_FORMAT, cases[i].list);
        }
    json_t *root = good_file(place);
    (void)json_object_set_new(root, "heads", json_integer(HEADS - 1));
    refuse_object(place, root, BASE_ERR_FORMAT, "must be a list of 2");
}

/* --- profile ------------------------------------------------------------------------------------------- */

static struct eng_plan with_profile(void)
{
    struct base_error error = {0};
    struct eng_plan plan = typical();
    check_ok(kv_profile_init_uniform(&plan.profile, LAYERS, HEADS, &error), &error, "profile");
    return plan;
}

/* Every number of a profile is written, read, copied and in the digest, and so is that there is one. */
static void test_profile_counts(void **state)
{
    struct place *place = *state;
    enum { SCORES = LAYERS * HEADS * KV_HEAD_SCORES };
    struct base_error error = {0};
    uint8_t before[32], after[32], without[32];
    struct eng_plan none = typical();
    check_ok(eng_plan_digest(&none, without, &error), &error, "digest");
    for (size_t i = 0; i < SCORES + LAYERS * KV_CURVE_POINTS; i++) {
        struct eng_plan plan = with_profile(), back, copy;
        struct kv_profile *p = &plan.profile;
        check_ok(eng_plan_digest(&plan, before, &error), &error, "digest");
        assert_memory_not_equal(before, without, sizeof before);
        check_ok(eng_plan_copy(&copy, &plan, &error), &error, "copy");
        if (i < SCORES)
            p->head[i / KV_HEAD_SCORES].score[i % KV_HEAD_SCORES]++;
        else
            p->curve[i - SCORES]++;
        check_ok(eng_plan_digest(&plan, after, &error), &error, "digest");
        assert_memory_not_equal(before, after, sizeof before);
        check_ok(eng_plan_write(&plan, place->path, &error), &error, "write");
        check_ok(eng_plan_read(&back, place->path, &error), &error, "read");
        assert_int_equal(back.profile.layers, LAYERS);
        assert_int_equal(back.profile.kv_heads, HEADS);
        assert_memory_equal(back.profile.head, p->head, LAYERS * HEADS * sizeof *p->head);
        assert_memory_equal(back.profile.curve, p->curve, LAYERS * KV_CURVE_POINTS * sizeof *p->curve);
        check_ok(eng_plan_digest(&copy, after, &error), &error, "digest");
        assert_memory_equal(before, after, sizeof before);
        eng_plan_finish(&plan);
        eng_plan_finish(&back);
        eng_plan_finish(&copy);
    }
    eng_plan_finish(&none);
}

/* The file of a plan with a profile; *ret_layer: its second layer. */
static json_t *profile_file(const struct place *place, json_t **ret_profile, json_t **ret_layer)
{
    struct base_error error = {0};
    struct eng_plan plan = with_profile();
    check_ok(eng_plan_write(&plan, place->path, &error), &error, "write");
    eng_plan_finish(&plan);
    json_t *root = json_load_file(place->path, 0, NULL);
    assert_non_null(root);
    *ret_profile = json_object_get(root, "profile");
    *ret_layer = json_array_get(json_object_get(*ret_profile, "layers"), 1);
    return root;
}

static void test_hostile_profile(void **state)
{
    struct place *place = *state;
    static const char *const lists[] = {"echo", "induction", "deviation", "curve"};
    json_t *profile, *layer, *root;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (int change = 0; change < 6; change++) {
            root = profile_file(place, &profile, &layer);
            json_t *list = json_object_get(layer, lists[i]);
            if (change < 2)
                (void)json_array_set_new(list, 1, json_integer(change == 0 ? -1 : KV_PROFILE_MOST_SCORE + 1));
            else if (change == 2)
                (void)json_array_set_new(list, 1, json_real(0.5));
            else if (change == 3)
                (void)json_array_remove(list, 1);
            else if (change == 4)
                (void)json_array_append_new(list, json_integer(0));
            else
                (void)json_object_del(layer, lists[i]);
            refuse_object(place, root, BASE_ERR_FORMAT, change == 5 ? "profile, layer 1" : lists[i]);
        }
    root = profile_file(place, &profile, &layer);
    (void)json_array_set_new(json_object_get(layer, "curve"), 3, json_integer(1));
    refuse_object(place, root, BASE_ERR_FORMAT, "layer 1, point 3 of the curve is 1 after");
    root = profile_file(place, &profile, &layer);
    (void)json_object_set_new(layer, "extra", json_integer(1));
    refuse_object(place, root, BASE_ERR_FORMAT, "profile, layer 1");
    root = profile_file(place, &profile, &layer);
    (void)json_object_set_new(profile, "extra", json_integer(1));
    refuse_object(place, root, BASE_ERR_FORMAT, "\"profile\" must hold");
    root = profile_file(place, &profile, &layer);
    (void)json_array_remove(json_object_get(profile, "layers"), 0);
    refuse_object(place, root, BASE_ERR_FORMAT, "\"profile\" must hold");
    root = profile_file(place, &profile, &layer);
    (void)json_object_set_new(root, "profile", json_null());
    refuse_object(place, root, BASE_ERR_FORMAT, "\"profile\" must hold");
    for (int kv_heads = 0; kv_heads <= HEADS + 1; kv_heads++) {
        root = profile_file(place, &profile, &layer);
        (void)json_object_set_new(profile, "kv_heads", json_integer(kv_heads));
        if (kv_heads == HEADS)
            json_decref(root);
        else
            refuse_object(place, root, BASE_ERR_FORMAT,
                          kv_heads == 1 ? "profile, layer 0" : "\"kv_heads\" is");
    }
    root = profile_file(place, &profile, &layer);
    (void)json_object_set_new(root, "extra", json_integer(1));
    refuse_object(place, root, BASE_ERR_FORMAT, "unknown field");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
                                       cmocka_unit_test(test_every_field_counts),
                                       cmocka_unit_test(test_hostile_files),
                                       cmocka_unit_test(test_conditions),
                                       cmocka_unit_test(test_conditions_of_ceilings),
                                       cmocka_unit_test(test_root_conditions),
                                       cmocka_unit_test(test_heads_count),
                                       cmocka_unit_test(test_hostile_heads),
                                       cmocka_unit_test(test_profile_counts),
                                       cmocka_unit_test(test_hostile_profile)};
    return cmocka_run_group_tests(tests, make_place, remove_place);
}
