/* The mask discipline, on random schedules of operations at their real sizes.
 *
 * Streams: no holder of a stream makes a draw twice, all holders make the same ones (tests/support/recorder.h).
 *
 * Views: all that P1 receives, and all that P2 receives, is a one-time pad, jointly. For each draw that the receiver cannot make, the
 * schedule runs again with that draw changed. A field that moves by the change itself is masked by the draw; if of all fields it alone moves,
 * it is uniform and independent of the others, whatever they are, and is set aside. A view of which every field can be set aside in turn
 * is uniform. A mask used for two fields moves both, and none of them can ever be set aside. (test_views.c proves the same for single
 * operations over all randomness of tiny rings; here nothing is tiny.) The words of a point function's
 * key are no pad: they are pseudorandom without the root that the receiver does not know, and are set aside when that root moves them alone.
 * Functions that open values by design are looked at in test_views.c and test_uniform.c. */
#include "tests/protocols/schedule.h"

#include "tests/support/recorder.h"

enum { SCHEDULES = 24, PROVED = 6, MOST_DRAWS = 4096 };
static const uint64_t DELTA = UINT64_C(0x9e3779b97f4a7c15);

static enum base_status run_once(const struct schedule *schedule, struct tap *tap, const struct kern_table *kern, struct base_error *error)
{
    struct trio_input inputs[BEGINNINGS + GATES];
    struct trio trio = {0};
    size_t count = make_inputs(schedule, inputs);
    struct trio_job job = {.program = run_schedule, .context = schedule, .inputs = inputs, .input_count = count, .seed = schedule->seed, .tap = tap,
                           .kern = kern, .arena_size = (size_t)256 << 20, .no_twin = tap != NULL || schedule->stops != MPC_COUNT || schedule->mistake};
    enum base_status status = trio_run(&job, &trio, error);
    if (status == BASE_OK && !job.no_twin)
        status = trio_check(&trio, error);
    trio_finish(&trio);
    free_inputs(inputs, count);
    return status;
}

/* --- streams ---------------------------------------------------------------------------------------------------------------------------------- */

static struct schedule random_schedule(uint64_t seed)
{
    size_t gates;
    const struct sec_gate *const *all = sec_gates(&gates);
    uint64_t random = seed;
    struct schedule s = {.seed = seed, .operations = 4 + trio_random(&random) % 20, .stops = MPC_COUNT, .strands = trio_random(&random) % 2};
    for (size_t g = 0; g < GATES; g++)
        s.gate[g] = all[trio_random(&random) % gates];
    if (seed % 3 == 0) {
        s.stops = seed % 2 == 0 ? MPC_LEFT : MPC_RIGHT;
        s.stop_round = (uint32_t)(trio_random(&random) % 6);
    }
    return s;
}

/* One recorder over all of them: sessions of one life. */
static void test_no_draw_repeats(void **state)
{
    const struct kern_table *kern = recorder_start(kern_table_select(~0u));
    size_t stopped = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SCHEDULES; seed++) {
        struct schedule s = random_schedule(seed);
        struct base_error error = {0};
        enum base_status status = run_once(&s, NULL, kern, &error);
        if (s.stops != MPC_COUNT && status == BASE_ERR_CLOSED)
            stopped++;
        else
            check_ok(status, &error, "schedule");
        if (recorder_breach() != NULL)
            fail_msg("schedule %llu: %s", (unsigned long long)seed, recorder_breach());
    }
    assert_true(stopped >= SCHEDULES / 6);
    (void)printf("%d schedules, %zu of them stopped: %zu draws, 0 repeated\n", SCHEDULES, stopped, recorder_count());
}

/* Every function of protocols/ twice in one session. */
static void test_gates_repeat_nothing(void **state)
{
    size_t count;
    const struct sec_gate *const *gates = sec_gates(&count);
    const struct kern_table *kern = recorder_start(kern_table_select(~0u));
    (void)state;
    for (size_t g = 0; g < count; g++) {
        struct schedule s = {.seed = 1000 + g, .operations = 1, .gate = {gates[g], gates[g]}, .stops = MPC_COUNT};
        struct base_error error = {0};
        check_ok(run_once(&s, NULL, kern, &error), &error, gates[g]->name);
        if (recorder_breach() != NULL)
            fail_msg("%s: %s", gates[g]->name, recorder_breach());
    }
    (void)printf("%zu functions: %zu draws, 0 repeated\n", count, recorder_count());
}

static void test_reused_streams_are_caught(void **state)
{
    (void)state;
    for (int mistake = STREAM_TURNED_BACK; mistake <= STREAM_COPIED; mistake++) {
        struct schedule s = {.seed = 5, .operations = 6, .stops = MPC_COUNT, .mistake = mistake};
        struct base_error error = {0};
        const struct kern_table *kern = recorder_start(kern_table_select(~0u));
        check_ok(run_once(&s, NULL, kern, &error), &error, "mistake");
        assert_non_null(recorder_breach());
        assert_non_null(strstr(recorder_breach(), "drawn twice"));
    }
    /* Two sessions under the same keys. */
    struct schedule s = {.seed = 6, .operations = 3, .stops = MPC_COUNT};
    struct base_error error = {0};
    const struct kern_table *kern = recorder_start(kern_table_select(~0u));
    for (int i = 0; i < 2; i++) {
        assert_true((recorder_breach() != NULL) == (i > 1));
        check_ok(run_once(&s, NULL, kern, &error), &error, "session");
    }
    assert_non_null(recorder_breach());
}

/* --- views -------------------------------------------------------------------------------------------------------------------------------------- */

/* Which fields a draw moves, and which it masks: [draws][fields]. */
struct effects {
    size_t draws, fields;
    bool *moves, *masks;
    const struct recorder_draw *draw;
    const struct tap_field *field;
};

static bool masked(const struct tap_field *before, const struct tap_field *after, bool by_xor)
{
    uint64_t keep = kern_ring_mask(before->ring);
    for (size_t i = 0; i < before->count; i++) {
        uint64_t a = before->values[i], b = after->values[i];
        if (by_xor ? ((a ^ b ^ DELTA) & keep) != 0 : ((b - a - DELTA) & keep) != 0 && ((a - b - DELTA) & keep) != 0)
            return false;
    }
    return true;
}

static void compare(struct effects *e, size_t draw, const struct tap_view *before, const struct tap_view *after, bool by_xor)
{
    assert_int_equal(before->count, after->count);
    for (size_t f = 0; f < before->count; f++) {
        const struct tap_field *a = &before->fields[f], *b = &after->fields[f];
        size_t at = draw * e->fields + f;
        assert_true(a->count == b->count && a->ring == b->ring);
        e->moves[at] |= memcmp(a->values, b->values, a->count * sizeof *a->values) != 0;
        e->masks[at] |= masked(a, b, by_xor);
    }
}

/* Sets aside what draw d allows: the one field that it still moves, if it masks it; or, if it is a root, the words of its key, once it moves
 * nothing else. Returns how many. */
static size_t set_aside_by(const struct effects *e, size_t d, bool *gone)
{
    const bool root = e->draw[d].ring == 0, *moves = e->moves + d * e->fields, *masks = e->masks + d * e->fields;
    size_t moved = 0;
    for (size_t f = 0; f < e->fields; f++) {
        if (gone[f] || !moves[f])
            continue;
        moved++;
        if (root ? e->field[f].exchanged : moved > 1 || !masks[f])
            return 0;
    }
    for (size_t f = 0; f < e->fields; f++)
        gone[f] = gone[f] || moves[f];
    return moved;
}

/* Sets fields aside while any can be; returns how many remain, and the first of these. */
static size_t set_aside(const struct effects *e, size_t *ret_first)
{
    bool *gone = must_alloc(e->fields, sizeof *gone);
    size_t left = e->fields, now = 1;
    while (now > 0) {
        now = 0;
        for (size_t d = 0; d < e->draws; d++)
            now += set_aside_by(e, d, gone);
        left -= now;
    }
    for (*ret_first = 0; *ret_first < e->fields && gone[*ret_first]; ++*ret_first)
        ;
    free(gone);
    return left;
}

/* P1 holds s1 and o1, P2 s2 and o2: the first byte of a key says which it is (three_parties.c). */
static size_t unknown_draws(int party, struct recorder_draw ret[MOST_DRAWS])
{
    size_t count = 0;
    for (size_t i = 0; i < recorder_count(); i++) {
        struct recorder_draw draw = recorder_at(i);
        if (draw.key[0] >= TAP_STREAMS || draw.key[0] % 2 == party - 1)
            continue;
        assert_true(count < MOST_DRAWS);
        ret[count++] = draw;
    }
    return count;
}

/* Fields that cannot be set aside. */
static size_t not_uniform(const struct schedule *schedule, int party, size_t *ret_fields, size_t *ret_first)
{
    static struct recorder_draw draws[MOST_DRAWS];
    struct tap tap = {.mode = TAP_REAL};
    struct base_error error = {0};
    check_ok(run_once(schedule, &tap, recorder_start(tap_table()), &error), &error, "schedule");
    struct effects e = {.draws = unknown_draws(party, draws), .fields = tap.view[party].count, .draw = draws,
                        .field = tap.view[party].fields};
    e.moves = must_alloc(e.draws * e.fields, sizeof *e.moves);
    e.masks = must_alloc(e.draws * e.fields, sizeof *e.masks);
    for (size_t d = 0; d < e.draws; d++)
        for (int by_xor = 0; by_xor <= 1; by_xor++) {
            struct tap other = {.mode = TAP_REAL};
            const struct kern_table *kern = recorder_start(tap_table());
            recorder_change(&draws[d], DELTA, by_xor);
            check_ok(run_once(schedule, &other, kern, &error), &error, "schedule");
            compare(&e, d, &tap.view[party], &other.view[party], by_xor);
            tap_finish(&other);
        }
    size_t left = set_aside(&e, ret_first);
    *ret_fields = e.fields;
    tap_finish(&tap);
    free(e.moves);
    free(e.masks);
    return left;
}

static void check_uniform(const struct schedule *schedule, const char *what)
{
    for (int party = 1; party <= 2; party++) {
        size_t fields, first, left = not_uniform(schedule, party, &fields, &first);
        if (left > 0)
            fail_msg("%s: %zu of %zu fields that P%d receives share a mask or have none; the first is number %zu", what, left, fields, party,
                     first);
    }
}

static void test_schedules_are_uniform(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PROVED; seed++) {
        struct schedule s = {.seed = 70 + seed, .operations = 8, .stops = MPC_COUNT, .strands = seed % 2 == 0};
        char what[32];
        (void)snprintf(what, sizeof what, "schedule %llu", (unsigned long long)seed);
        check_uniform(&s, what);
    }
}

static void test_gates_are_uniform(void **state)
{
    size_t count;
    const struct sec_gate *const *gates = sec_gates(&count);
    (void)state;
    for (size_t g = 0; g < count; g++) {
        struct schedule s = {.seed = 300 + g, .operations = 1, .gate = {gates[g]}, .stops = MPC_COUNT};
        if (gates[g]->opens == NULL)
            check_uniform(&s, gates[g]->name);
    }
}

static void test_reused_masks_are_caught(void **state)
{
    (void)state;
    for (int mistake = STREAM_TURNED_BACK; mistake <= OPENED_TWICE; mistake++)
        for (int party = 1; party <= 2; party++) {
            struct schedule s = {.seed = 5, .operations = 3, .stops = MPC_COUNT, .mistake = mistake};
            size_t fields, first;
            assert_true(not_uniform(&s, party, &fields, &first) > 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_draw_repeats),           cmocka_unit_test(test_gates_repeat_nothing),
                                       cmocka_unit_test(test_reused_streams_are_caught), cmocka_unit_test(test_schedules_are_uniform),
                                       cmocka_unit_test(test_gates_are_uniform),         cmocka_unit_test(test_reused_masks_are_caught)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
