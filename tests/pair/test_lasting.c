/* Products of matrices that stay, by encrypted masks: exact against plain arithmetic, for weights in several parts, for K and V that grow and whose slots are
 * overwritten, for a text after a text, for scalars; declared against counted; nothing encrypted twice; encrypted weights as a file, whole and broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/pair/support.h"

#include "pair/maker.h"
#include "pair/rlwe_parts.h"
#include "pair/store_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { K = 8, MOST_STEPS = 20, MOST_ROOM = 8 };

/* One product, or scalars with their words. Masks of both parties. */
struct step {
    bool scalars;
    struct mpc_product_form form;
    struct mpc_cross_form cross;
    uint32_t stamp[MOST_ROOM];
    uint64_t *x[3], *w[3], *z[3];
    size_t count;
};

struct script {
    struct step *step;
    size_t steps;
    bool together; /* one batch for all */
    enum pair_linear linear;
    const char *directory;          /* of files of encrypted weights; NULL: none */
    struct pair_cost made[3], once[3];
    enum base_status loaded[3];
    bool complete[3];
};

/* --- the two parties ------------------------------------------------------------------------------------------------------------------- */

static enum base_status note(struct pair_maker *m, const struct step *s, int id, struct base_error *error)
{
    const struct mpc_maker *maker = &m->of_party;
    return s->scalars ? maker->cross(m, s->cross, s->x[id], s->w[id], error) : maker->product(m, s->form, s->x[id], s->w[id], error);
}

static int ring_of(const struct step *s)
{
    return s->scalars ? s->cross.ring : s->form.ring;
}

static enum base_status read_record(struct pair_party *p, struct pair_tape *tape, struct step *s, struct base_error *error)
{
    size_t size = mpc_bits(s->count, ring_of(s));
    uint8_t *packed = pair_test_alloc(size, 1);
    enum base_status status = pair_tape_take(tape, packed, size, error);
    if (status == BASE_OK)
        p->kern->unpack_bits(s->z[p->id], packed, s->count, ring_of(s));
    base_free(&packed);
    return status;
}

/* One (number, coefficient) once, as far as the stores still know. */
static void check_numbers(const struct pair_store *store)
{
    for (const struct pair_lasting *l = store->first; l != NULL; l = l->next)
        for (size_t i = 0; i < l->parts; i++)
            for (int owner = 1; owner <= 2; owner++) {
                const struct pair_part *part = &l->part[i];
                assert_true(part->columns[owner].used <= PAIR_RLWE_N && part->rows <= PAIR_RLWE_N);
                for (size_t j = 0; part->number[owner] != NULL && j < part->view[owner].columns; j++)
                    for (size_t k = 0; k < j; k++)
                        assert_int_not_equal(part->number[owner][j], part->number[owner][k]);
            }
}

static enum base_status run_script(struct pair_party *p, void *context, struct base_error *error)
{
    struct script *c = context;
    enum base_status status;
    struct pair_maker m;
    struct pair_tape *tape = NULL;
    struct pair_store weights = {0};
    struct pair_store_owner owner = {.party = p->id, .digest = {7}};
    char path[512];
    uint64_t bytes = 0, all = 0;
    pair_maker_init(&m, p, NULL);
    TRY(pair_tape_create(&tape, error));
    m.tape = tape;
    m.linear = c->linear;
    m.model = &weights;
    if (c->directory != NULL) {
        struct base_error why = {0};
        (void)snprintf(path, sizeof path, "%s/p%d", c->directory, p->id);
        c->loaded[p->id] = pair_store_load(&weights, &owner, path, &why);
        c->complete[p->id] = weights.complete;
    }
    for (size_t i = 0; i < c->steps; i++) {
        TRY(note(&m, &c->step[i], p->id, error));
        if (!c->together)
            TRY(m.of_party.run(&m, true, &bytes, error));
        all += bytes;
        bytes = 0;
    }
    TRY(m.of_party.run(&m, true, &bytes, error));
    all += bytes;
    assert_int_equal(all, m.made.bytes[1] + m.made.bytes[2]);
    for (size_t i = 0; i < c->steps; i++)
        TRY(read_record(p, tape, &c->step[i], error));
    check_numbers(&m.text);
    c->made[p->id] = m.made;
    c->once[p->id] = m.once;
    if (c->directory != NULL && !weights.complete) {
        weights.complete = true;
        memcpy(weights.id, p->session, PAIR_SESSION);
        TRY(pair_store_save(&weights, &owner, path, error));
    }
out:
    pair_maker_finish(&m);
    pair_store_finish(&weights);
    pair_tape_destroy(&tape);
    return status;
}

/* --- scripts --------------------------------------------------------------------------------------------------------------------------- */

static struct step make_step(struct mpc_product_form form, uint64_t seed)
{
    struct step s = {.form = form, .count = form.heads * form.rows * form.outs};
    for (int id = 1; id <= 2; id++) {
        s.x[id] = pair_test_words(seed + (uint64_t)id, form.heads * form.rows * form.inner, form.ring);
        s.w[id] = pair_test_words(seed + 10 + (uint64_t)id, form.heads * form.outs * form.inner, 64);
        s.z[id] = pair_test_alloc(s.count, 8);
    }
    return s;
}

static void finish_steps(struct script *c)
{
    for (size_t i = 0; i < c->steps; i++)
        for (int id = 1; id <= 2; id++) {
            base_free(&c->step[i].x[id]);
            base_free(&c->step[i].w[id]);
            base_free(&c->step[i].z[id]);
        }
}

static uint64_t sum_of(uint64_t *const each[3], size_t i)
{
    return each[1][i] + each[2][i];
}

static void check_step(const struct step *s)
{
    const struct mpc_product_form *f = &s->form;
    uint64_t keep = kern_ring_mask(ring_of(s));
    for (size_t i = 0; i < s->count; i++) {
        uint64_t want = 0;
        size_t h = s->scalars ? 0 : i / (f->rows * f->outs), r = s->scalars ? 0 : i / f->outs % f->rows, o = s->scalars ? 0 : i % f->outs;
        for (size_t j = 0; !s->scalars && j < f->inner; j++)
            want += sum_of(s->x, (h * f->rows + r) * f->inner + j) * sum_of(s->w, (h * f->outs + o) * f->inner + j);
        if (s->scalars)
            want = sum_of(s->x, i / s->cross.group) * sum_of(s->w, i);
        assert_int_equal((s->z[1][i] + s->z[2][i]) & keep, want & keep);
    }
}

/* The same forms where nobody has masks. */
static void check_count(const struct script *c)
{
    struct pair_maker m;
    struct base_error error = {0};
    uint64_t bytes = 0;
    pair_maker_count(&m, K);
    m.linear = c->linear;
    for (size_t i = 0; i < c->steps; i++) {
        struct step s = c->step[i];
        s.x[1] = s.w[1] = NULL;
        check_ok(note(&m, &s, 1, &error), &error);
        if (!c->together)
            check_ok(m.of_party.run(&m, true, &bytes, &error), &error);
    }
    check_ok(m.of_party.run(&m, true, &bytes, &error), &error);
    assert_memory_equal(&m.made, &c->made[1], sizeof m.made);
    if (!c->complete[1])
        assert_memory_equal(&m.once, &c->once[1], sizeof m.once);
    pair_maker_finish(&m);
}

static void run_and_check(struct script *c, uint64_t seed)
{
    struct pair_ran ran;
    pair_run_well((struct pair_run_options){.k = K, .seed = seed}, run_script, c, &ran);
    for (size_t i = 0; i < c->steps; i++)
        check_step(&c->step[i]);
    assert_memory_equal(&c->made[1], &c->made[2], sizeof c->made[1]);
    assert_memory_equal(&c->once[1], &c->once[2], sizeof c->once[1]);
    check_count(c);
}

/* --- weights --------------------------------------------------------------------------------------------------------------------------- */

static const int wide_owner, narrow_owner;

static struct mpc_product_form weights_form(const void *of, size_t rows, size_t outs, size_t inner, int ring)
{
    return (struct mpc_product_form){.heads = 1, .rows = rows, .outs = outs, .inner = inner, .ring = ring, .which = {.lasting = MPC_WEIGHTS, .of = of}};
}

/* The same weights twice, as rows of two steps. */
static void make_weights(struct script *c, struct step step[4])
{
    step[0] = make_step(weights_form(&wide_owner, 2, 8200, 2, 64), 1);
    step[1] = make_step(weights_form(&narrow_owner, 1, 5, 3, 30), 30);
    for (int i = 0; i < 2; i++) {
        struct mpc_product_form form = step[i].form;
        form.rows = 3;
        step[2 + i] = make_step(form, 60 + 30 * (uint64_t)i);
        for (int id = 1; id <= 2; id++)
            memcpy(step[2 + i].w[id], step[i].w[id], form.outs * form.inner * 8);
    }
    c->step = step;
    c->steps = 4;
}

static void test_weights(void **state)
{
    struct step step[4];
    struct script c = {.linear = PAIR_LINEAR_ENCRYPTED};
    make_weights(&c, step);
    run_and_check(&c, 1);
    /* Keys of both sets, and each weight once. */
    uint64_t want = pair_rlwe_start_cost(&pair_rlwe_64).bytes[1] + pair_rlwe_start_cost(&pair_rlwe_32).bytes[1] + 24 * 8200 * 2 + 16 * 5 * 3;
    assert_int_equal(c.once[1].bytes[1], want);
    c.together = true;
    run_and_check(&c, 2);
    c.linear = PAIR_LINEAR_GILBOA;
    run_and_check(&c, 3);
    assert_int_equal(c.once[1].bytes[1], 0);
    finish_steps(&c);
}

/* 8200 outs are cheaper encrypted, five are not. */
static void test_the_cheaper_way(void **state)
{
    struct step step[4];
    struct script c = {.linear = PAIR_LINEAR_CHEAPER};
    make_weights(&c, step);
    run_and_check(&c, 4);
    assert_int_equal(c.once[1].bytes[1], pair_rlwe_start_cost(&pair_rlwe_64).bytes[1] + 24 * 8200 * 2);
    finish_steps(&c);
}

/* --- K and V --------------------------------------------------------------------------------------------------------------------------- */

/* A ring of slots that turns: step i has min(i + 1, room) slots, and slot i % room is new. */
static void make_text(struct step *step, size_t steps, enum mpc_lasting lasting, size_t room, size_t copies, uint64_t text, int ring)
{
    enum { HEADS = 5, DIM = 3 };
    uint64_t *rows[3];
    for (int id = 1; id <= 2; id++)
        rows[id] = pair_test_words(text * 1000 + (uint64_t)id, steps * HEADS * DIM, 64);
    for (size_t i = 0; i < steps; i++) {
        size_t slots = i + 1 < room ? i + 1 : room, n = i == 0 ? 2 : 1;
        struct mpc_identity which = {.lasting = lasting, .of = &wide_owner, .text = text, .room = room, .copies = copies};
        struct mpc_product_form form = {.heads = HEADS, .rows = copies * n, .outs = lasting == MPC_KEYS ? slots : DIM, .inner = lasting == MPC_KEYS ? DIM : slots,
                                        .ring = ring, .which = which};
        step[i] = make_step(form, text * 100 + i);
        for (size_t s = 0; s < slots; s++) {
            size_t row = i < room ? s : i - (i + room - s) % room;
            step[i].stamp[s] = (uint32_t)row;
            for (int id = 1; id <= 2; id++)
                for (size_t h = 0; h < HEADS; h++)
                    for (size_t d = 0; d < DIM; d++)
                        step[i].w[id][lasting == MPC_KEYS ? (h * slots + s) * DIM + d : (h * DIM + d) * slots + s] = rows[id][(row * HEADS + h) * DIM + d];
        }
        step[i].form.which.stamp = step[i].stamp;
    }
    for (int id = 1; id <= 2; id++)
        base_free(&rows[id]);
}

static void check_text(enum mpc_lasting lasting, size_t copies, int ring, bool together)
{
    enum { STEPS = 11, ROOM = 4 };
    static struct step step[MOST_STEPS];
    struct script c = {.step = step, .steps = STEPS + 3, .linear = PAIR_LINEAR_ENCRYPTED, .together = together};
    make_text(step, STEPS, lasting, ROOM, copies, 1, ring);
    /* Another text in the same slots. */
    make_text(step + STEPS, 3, lasting, ROOM, copies, 2, ring);
    for (size_t i = 0; i < c.steps; i++)
        step[i].form.which.stamp = step[i].stamp;
    run_and_check(&c, 5);
    finish_steps(&c);
}

static void test_keys(void **state)
{
    check_text(MPC_KEYS, 1, 49, false);
    check_text(MPC_KEYS, 3, 30, true);
}

/* More rows at once than the coefficients of a set: two sets in one batch. */
static void test_many_keys_at_once(void **state)
{
    enum { ROWS = 9000 };
    uint32_t *stamp = pair_test_alloc(ROWS, sizeof *stamp);
    for (uint32_t i = 0; i < ROWS; i++)
        stamp[i] = i;
    struct mpc_identity which = {.lasting = MPC_KEYS, .of = &wide_owner, .stamp = stamp, .room = ROWS, .copies = 1};
    struct step step = make_step((struct mpc_product_form){.heads = 1, .rows = 2, .outs = ROWS, .inner = 2, .ring = 40, .which = which}, 9);
    struct script c = {.step = &step, .steps = 1, .linear = PAIR_LINEAR_ENCRYPTED};
    run_and_check(&c, 9);
    finish_steps(&c);
    base_free(&stamp);
}

static void test_values(void **state)
{
    check_text(MPC_VALUES, 1, 64, false);
    check_text(MPC_VALUES, 3, 32, true);
}

/* --- scalars --------------------------------------------------------------------------------------------------------------------------- */

static void test_scalars(void **state)
{
    struct step step[2] = {{.scalars = true, .cross = {.count = 3 * 40, .group = 40, .ring = 34, .scalars = true}},
                           {.scalars = true, .cross = {.count = 8193, .group = 8193, .ring = 17, .scalars = true}}};
    struct script c = {.step = step, .steps = 2, .linear = PAIR_LINEAR_ENCRYPTED};
    for (uint64_t i = 0; i < 2; i++) {
        step[i].count = step[i].cross.count;
        for (int id = 1; id <= 2; id++) {
            step[i].x[id] = pair_test_words(20 * i + (uint64_t)id, step[i].count / step[i].cross.group, step[i].cross.ring);
            step[i].w[id] = pair_test_words(20 * i + 10 + (uint64_t)id, step[i].count, step[i].cross.ring);
            step[i].z[id] = pair_test_alloc(step[i].count, 8);
        }
    }
    run_and_check(&c, 6);
    finish_steps(&c);
}

/* --- files ----------------------------------------------------------------------------------------------------------------------------- */

static void patch(const char *path, long at, uint8_t flip)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
    assert_int_not_equal(fputc(byte ^ flip, file), EOF);
    assert_int_equal(fclose(file), 0);
}

static void check_refused(const char *path, int party, uint8_t digest, enum base_status want, const char *text)
{
    struct pair_store store;
    struct base_error error = {0};
    struct pair_store_owner owner = {.party = party, .digest = {digest}};
    check_fails(pair_store_load(&store, &owner, path, &error), want, &error, text);
    assert_true(!store.complete && store.first == NULL && store.keys[0].rlwe == NULL && store.keys[1].rlwe == NULL);
}

static void test_weights_as_a_file(void **state)
{
    char directory[] = "/tmp/cachet-weights-XXXXXX", path[3][64];
    struct stat stat_of;
    struct step step[4];
    assert_non_null(mkdtemp(directory));
    struct script c = {.linear = PAIR_LINEAR_ENCRYPTED, .directory = directory};
    make_weights(&c, step);
    run_and_check(&c, 7);
    assert_false(c.complete[1] || c.complete[2]);
    for (int id = 1; id <= 2; id++) {
        (void)snprintf(path[id], sizeof path[id], "%s/p%d", directory, id);
        assert_int_equal(stat(path[id], &stat_of), 0);
        assert_int_equal(stat_of.st_mode & 0777, 0600);
    }
    /* A second start: the same products, and nothing is encrypted again. */
    run_and_check(&c, 8);
    assert_true(c.complete[1] && c.complete[2]);
    assert_int_equal(c.once[1].bytes[1] + c.once[1].bytes[2], 0);
    check_refused(path[1], 2, 7, BASE_ERR_MISMATCH, "encrypted masks of another party, model, plan or share set");
    check_refused(path[1], 1, 8, BASE_ERR_MISMATCH, "encrypted masks of another party, model, plan or share set");
    for (long at = -1; at >= -100000; at -= 33333) {
        patch(path[1], at, 1);
        check_refused(path[1], 1, 7, BASE_ERR_FORMAT, "their digest is another one");
        patch(path[1], at, 1);
    }
    patch(path[1], 0, 1);
    check_refused(path[1], 1, 7, BASE_ERR_FORMAT, "no file of encrypted masks");
    patch(path[1], 0, 1);
    patch(path[1], 8, 2);
    check_refused(path[1], 1, 7, BASE_ERR_MISMATCH, "version 3 of encrypted masks, and this program has 1");
    patch(path[1], 8, 2);
    assert_int_equal(chmod(path[1], 0640), 0);
    check_refused(path[1], 1, 7, BASE_ERR_FORMAT, "set its mode to 0600");
    assert_int_equal(chmod(path[1], 0600), 0);
    long sizes[] = {0, 7, 40, 90, 5000, (long)stat_of.st_size / 2, (long)stat_of.st_size - 1};
    for (size_t i = sizeof sizes / sizeof *sizes; i-- > 0;) {
        assert_int_equal(truncate(path[2], sizes[i]), 0);
        check_refused(path[2], 2, 7, BASE_ERR_FORMAT, "encrypted masks");
    }
    /* And cut behind the first matrix's extents, before its first part. */
    long head = 3 * 8 + PAIR_SESSION + PAIR_STORE_DIGEST + 8, matrix = 5 * 8;
    for (int keys = 3; keys > 0; keys--) {
        long cut = head + 2 * 8 + matrix;
        for (int narrow = 0; narrow < 2; narrow++)
            if ((keys >> narrow) & 1)
                cut += PAIR_RLWE_N + 2 * (16 + 8 + 8 * (long)pair_rlwe_words(pair_store_params(narrow == 1)));
        if (cut < (long)stat_of.st_size) {
            assert_int_equal(truncate(path[1], cut), 0);
            check_refused(path[1], 1, 7, BASE_ERR_FORMAT, "");
        }
    }
    finish_steps(&c);
    for (int id = 1; id <= 2; id++)
        assert_int_equal(unlink(path[id]), 0);
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights), cmocka_unit_test(test_the_cheaper_way), cmocka_unit_test(test_keys),
        cmocka_unit_test(test_many_keys_at_once), cmocka_unit_test(test_values),  cmocka_unit_test(test_scalars),         cmocka_unit_test(test_weights_as_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
