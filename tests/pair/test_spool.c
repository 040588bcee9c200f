/* Texts made ahead of use: their steps, folders, and what two parties agree on over a link. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pair/spool.h"
#include "tests/pair/files.h"

#include <sys/resource.h>

enum { STEPS = 3, RECORDS = 4 };

static const uint8_t key[PAIR_SEALED_KEY] = {1, 2, 3};

/* --- texts ----------------------------------------------------------------------------------------------------------------------------- */

static const struct pair_text_form form = {.prompt_tokens = 7, .new_tokens = 2, .chunk = 4, .mode = 0};

static size_t record_size(size_t step, size_t i)
{
    return (step * 7919 + i * 104729) % 300000;
}

static void put_step(struct pair_tape *tape, size_t step)
{
    struct base_error error = {0};
    for (size_t i = 0; i < RECORDS; i++) {
        size_t size = i == 0 ? 0 : record_size(step, i);
        uint8_t *bytes = pair_test_alloc(size, 1);
        spool_fill(bytes, size, step * RECORDS + i);
        check_ok(pair_tape_put(tape, bytes, size, 10 * step + i, &error), &error);
        base_free(&bytes);
    }
}

/* Whether the tape holds that step's records and no more; takes them. */
static bool has_step(struct pair_tape *tape, size_t step)
{
    bool good = pair_tape_trees(tape) == 10 * step + RECORDS - 1;
    for (size_t i = 0; i < RECORDS; i++) {
        size_t size = i == 0 ? 0 : record_size(step, i);
        uint8_t *wanted = pair_test_alloc(size, 1), *got = pair_test_alloc(size, 1);
        spool_fill(wanted, size, step * RECORDS + i);
        good = pair_tape_take(tape, got, size, NULL) == BASE_OK && memcmp(got, wanted, size) == 0 && good;
        base_free(&wanted);
        base_free(&got);
    }
    return good && pair_tape_size(tape) == 0;
}

static struct pair_tape *open_tape(void)
{
    struct base_error error = {0};
    struct pair_tape *tape = NULL;
    check_ok(pair_tape_create(&tape, &error), &error);
    pair_tape_close(tape, NULL);
    return tape;
}

static void test_text(void **state)
{
    struct base_error error = {0};
    struct pair_tape *tape = open_tape();
    struct pair_text text;
    struct pair_text_about about = {.party = 2, .id = {9, 8}, .form = form, .owner = {5}}, seen;
    struct pair_text_keys keys = {.own = {1}, .input = {2}, .delta = {{3, UINT64_MAX}}}, got;
    bool used = true;
    for (size_t uses = 0; uses <= STEPS; uses += STEPS) {
        check_ok(pair_text_create(&text, spool_at("t"), key, &about, &keys, &error), &error);
        for (size_t s = 0; s < STEPS; s++) {
            put_step(tape, s);
            check_ok(pair_text_keep(&text, tape, s + 1, s == 2, &error), &error);
            assert_int_equal(pair_tape_size(tape), 0);
        }
        check_ok(pair_text_close(&text, &error), &error);
        check_ok(pair_text_place(&text, &error), &error);
        check_ok(pair_text_look(spool_at("t"), key, &seen, &used, &error), &error);
        assert_false(used);
        assert_int_equal(seen.party, 2);
        assert_int_equal(seen.steps, STEPS);
        assert_memory_equal(seen.id, about.id, sizeof seen.id);
        assert_memory_equal(seen.owner, about.owner, sizeof seen.owner);
        assert_memory_equal(&seen.form, &form, sizeof form);
        check_ok(pair_text_use(&text, spool_at("t"), key, &got, &error), &error);
        assert_memory_equal(&got, &keys, sizeof keys);
        for (size_t s = 0; s < uses; s++) {
            check_ok(pair_text_load(&text, tape, s + 1, s == 2, &error), &error);
            assert_true(has_step(tape, s));
        }
        if (uses == STEPS)
            assert_int_equal(pair_text_load(&text, tape, 1, 1, &error), BASE_ERR_CLOSED);
        else
            assert_int_equal(pair_text_load(&text, tape, 2, 0, &error), BASE_ERR_MISMATCH);
        pair_text_finish(&text);
        assert_int_not_equal(access(spool_at("t"), F_OK), 0);
        error = (struct base_error){0};
    }
    pair_tape_destroy(&tape);
}

/* --- folders, and two parties ------------------------------------------------------------------------------------------------------------ */

struct side {
    struct pair_spool spool;
    struct pair_tape *tape;
    struct pair_text text;
    struct pair_text_keys keys;
    struct base_error refusal;
};

/* What both do in one run over a link. */
struct scene {
    struct side side[3];
    const char *folder[3]; /* NULL: no spool */
    uint8_t key[3][PAIR_SEALED_KEY];
    size_t make;           /* texts */
    size_t take;
    struct pair_text_form wanted;
    size_t took[3];
    uint32_t most;
};

static struct pair_spool_config config_of(const struct scene *s, int id)
{
    struct pair_spool_config config = {.directory = s->folder[id], .party = id, .owner = {7}, .most = s->most};
    memcpy(config.key, s->key[id], sizeof config.key);
    return config;
}

static enum base_status run_side(struct pair_party *p, void *context, struct base_error *error)
{
    struct scene *s = context;
    struct side *side = &s->side[p->id];
    enum base_status status;
    const struct pair_spool_config config = config_of(s, p->id);
    side->refusal = (struct base_error){0};
    s->took[p->id] = 0;
    side->tape = open_tape();
    TRY(pair_spool_open(&side->spool, &config, error));
    TRY(pair_spool_meet(&side->spool, p, error));
    for (size_t i = 0; i < s->make && side->refusal.code == BASE_OK; i++) {
        const struct pair_text_keys keys = {.own = {(uint8_t)i, 1}, .delta = {{(uint64_t)p->id, i}}};
        pair_spool_begin(&side->spool, &form, &keys, &side->refusal);
        for (size_t step = 0; step < STEPS && side->refusal.code == BASE_OK; step++) {
            put_step(side->tape, step);
            TRY(pair_spool_keep(&side->spool, p, side->tape, 1, 1, &side->refusal, error));
        }
        if (side->refusal.code == BASE_OK)
            TRY(pair_spool_end(&side->spool, p, &side->refusal, error));
    }
    for (size_t i = 0; i < s->take; i++) {
        TRY(pair_spool_take(&side->spool, p, &s->wanted, &side->text, &side->keys, error));
        if (side->text.file == NULL)
            break;
        TRY(pair_text_load(&side->text, side->tape, 1, 1, error));
        TRY_THAT(has_step(side->tape, 0), error, BASE_ERR_INTERNAL, "not the records that were kept");
        pair_text_finish(&side->text);
        s->took[p->id]++;
    }
out:
    pair_tape_destroy(&side->tape);
    return status;
}

static void close_sides(struct scene *s)
{
    for (int id = 1; id <= 2; id++)
        pair_spool_close(&s->side[id].spool);
}

static uint64_t session = 1;

/* A run of both; their spools stay open until close_sides. */
static void play(struct scene *s, size_t make, size_t take)
{
    struct pair_ran ran;
    s->make = make;
    s->take = take;
    pair_run_both((struct pair_run_options){.seed = session, .session = session}, run_side, s, &ran);
    session++;
    for (int id = 1; id <= 2; id++)
        check_ok(ran.status[id], &ran.error[id]);
    assert_int_equal(s->side[1].spool.count, s->side[2].spool.count);
    assert_int_equal(s->took[1], s->took[2]);
}

static struct scene new_scene(void)
{
    static char folder[3][PLACE_ROOM + 16];
    struct scene s = {.most = 5, .wanted = form};
    for (int id = 1; id <= 2; id++) {
        (void)snprintf(folder[id], sizeof folder[id], "%s/s%d", spool_place, id);
        spool_clear(folder[id]);
        s.folder[id] = folder[id];
        s.key[id][0] = (uint8_t)id;
        s.side[id].spool.lock = -1;
    }
    return s;
}

/* The name of the file number i of a party's list. */
static const char *file_of(const struct scene *s, int id, size_t i)
{
    static char path[2 * PLACE_ROOM];
    char hex[2 * PAIR_TEXT_ID + 1];
    assert_true(i < s->side[id].spool.count);
    (void)sodium_bin2hex(hex, sizeof hex, s->side[id].spool.text[i].id, PAIR_TEXT_ID);
    (void)snprintf(path, sizeof path, "%s/%s.text", s->folder[id], hex);
    return path;
}

static void test_both(void **state)
{
    struct scene s = new_scene();
    char waiting[64];
    play(&s, 3, 0);
    assert_int_equal(s.side[1].spool.count, 3);
    pair_spool_describe(&s.side[1].spool, waiting, sizeof waiting);
    assert_string_equal(waiting, "7+2 (3)");
    close_sides(&s);
    play(&s, 0, 1);
    assert_int_equal(s.took[1], 1);
    assert_int_equal(s.side[1].spool.count, 2);
    close_sides(&s);
    /* More new tokens than were made; another prompt: not there, and nothing is used up. Fewer: fits. */
    s.wanted.new_tokens = 3;
    play(&s, 0, 1);
    assert_int_equal(s.took[1], 0);
    close_sides(&s);
    s.wanted = form;
    s.wanted.prompt_tokens = 6;
    play(&s, 0, 1);
    assert_int_equal(s.took[1], 0);
    close_sides(&s);
    s.wanted = form;
    s.wanted.new_tokens = 1;
    play(&s, 0, 9);
    assert_int_equal(s.took[1], 2);
    close_sides(&s);
    play(&s, 0, 1);
    assert_int_equal(s.took[1], 0);
    close_sides(&s);
}

static void test_full(void **state)
{
    struct scene s = new_scene();
    s.most = 2;
    play(&s, 3, 0);
    for (int id = 1; id <= 2; id++) {
        assert_int_equal(s.side[id].refusal.code, BASE_ERR_ARGUMENT);
        assert_non_null(strstr(s.side[id].refusal.text, "spool.most is 2"));
    }
    assert_int_equal(s.side[1].spool.count, 2);
    close_sides(&s);
}

static void test_one_without(void **state)
{
    struct scene s = new_scene();
    s.folder[2] = NULL;
    play(&s, 1, 1);
    assert_non_null(strstr(s.side[1].refusal.text, "the other party was started without a spool"));
    assert_non_null(strstr(s.side[2].refusal.text, "this party was started without a spool"));
    assert_int_equal(s.took[1], 0);
    close_sides(&s);
}

/* One party's file is bad: both go on with the next text, and neither uses the one of which a part is bad. */
static void test_bad_file(void **state)
{
    struct scene s = new_scene();
    size_t size;
    play(&s, 2, 0);
    uint8_t *bytes = spool_read(file_of(&s, 2, 0), &size);
    bytes[size - 1] ^= 1;
    spool_write(file_of(&s, 2, 0), bytes, size);
    base_free(&bytes);
    close_sides(&s);
    play(&s, 0, 2);
    assert_int_equal(s.took[1], 1);
    assert_int_equal(s.side[2].spool.aside, 1);
    close_sides(&s);
    play(&s, 0, 1); /* the other one's part is used up, too */
    assert_int_equal(s.took[1], 0);
    assert_int_equal(s.side[2].spool.aside, 1);
    close_sides(&s);
}

/* Files that do not belong here are set aside and stay: of the other party, of another owner, a copy under another name, without its other part. */
static void test_strangers(void **state)
{
    struct scene s = new_scene();
    char path[2 * PLACE_ROOM];
    size_t size;
    play(&s, 2, 0);
    uint8_t *bytes = spool_read(file_of(&s, 2, 0), &size);
    (void)snprintf(path, sizeof path, "%s/00112233445566778899aabbccddeeff.text", s.folder[1]);
    spool_write(path, bytes, size); /* P2's */
    base_free(&bytes);
    bytes = spool_read(file_of(&s, 1, 0), &size);
    path[strlen(path) - 6] = '0';
    spool_write(path, bytes, size); /* a copy */
    base_free(&bytes);
    assert_int_equal(unlink(file_of(&s, 2, 1)), 0);
    close_sides(&s);
    play(&s, 0, 9);
    assert_int_equal(s.took[1], 1);
    assert_int_equal(s.side[1].spool.aside, 3);
    assert_int_equal(access(path, F_OK), 0);
    close_sides(&s);
    /* Another model. */
    struct scene again = new_scene();
    struct base_error error = {0};
    play(&again, 1, 0);
    close_sides(&again);
    struct pair_spool_config config = config_of(&again, 1);
    config.owner[0]++;
    check_ok(pair_spool_open(&again.side[1].spool, &config, &error), &error);
    assert_int_equal(again.side[1].spool.count, 0);
    assert_int_equal(again.side[1].spool.aside, 1);
    close_sides(&again);
}

static void test_folder(void **state)
{
    struct scene s = new_scene();
    struct base_error error = {0};
    const struct pair_spool_config config = config_of(&s, 1);
    struct pair_spool *first = &s.side[1].spool, *second = &s.side[2].spool;
    check_ok(pair_spool_open(first, &config, &error), &error);
    assert_int_equal(pair_spool_open(second, &config, &error), BASE_ERR_CLOSED);
    assert_non_null(strstr(error.text, "another process uses it"));
    error = (struct base_error){0};
    check_ok(pair_spool_survey(second, &config, &error), &error); /* whoever looks does not take it */
    close_sides(&s);
    assert_int_equal(chmod(s.folder[1], 0750), 0);
    assert_int_equal(pair_spool_open(first, &config, &error), BASE_ERR_MISMATCH);
    assert_non_null(strstr(error.text, "chmod 700"));
    close_sides(&s);
    error = (struct base_error){0};
    spool_clear(s.folder[1]);
    spool_write(s.folder[1], (const uint8_t *)"x", 1);
    assert_int_equal(pair_spool_open(first, &config, &error), BASE_ERR_IO);
    close_sides(&s);
    spool_clear(s.folder[1]);
}

/* A disk that is full while a text is made: named at both, nothing is left, what was complete stays. */
static void test_disk_full(void **state)
{
    struct scene s = new_scene();
    struct rlimit before, small;
    play(&s, 1, 0);
    close_sides(&s);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (rlim_t limit = 0; limit < 1000000; limit = limit * 3 + 100000) {
        small = (struct rlimit){.rlim_cur = limit, .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        play(&s, 1, 0);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        for (int id = 1; id <= 2; id++) {
            assert_int_equal(s.side[id].refusal.code, BASE_ERR_IO);
            assert_non_null(strstr(s.side[id].refusal.text, "cannot be written"));
        }
        assert_int_equal(s.side[1].spool.count, 1);
        close_sides(&s);
        char command[2 * PLACE_ROOM];
        (void)snprintf(command, sizeof command, "[ $(ls -A '%s' | wc -l) = 1 ]", s.folder[1]);
        assert_int_equal(system(command), 0);
    }
    play(&s, 1, 2);
    assert_int_equal(s.took[1], 2);
    close_sides(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text),        cmocka_unit_test(test_both),     cmocka_unit_test(test_full),
                                       cmocka_unit_test(test_one_without), cmocka_unit_test(test_bad_file), cmocka_unit_test(test_strangers),
                                       cmocka_unit_test(test_folder),      cmocka_unit_test(test_disk_full)};
    return cmocka_run_group_tests(tests, spool_open_place, spool_close_place);
}
