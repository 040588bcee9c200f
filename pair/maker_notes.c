#include "base/memory.h"
#include "pair/choose.h"
#include "pair/gilboa.h"
#include "pair/notes.h"

#include <string.h>

enum base_status pair_emit_words(struct pair_maker *m, const uint64_t *words, size_t count, int ring, struct base_error *error)
{
    size_t size = mpc_bits(count, ring);
    uint8_t *packed = NULL;
    enum base_status status = base_alloc(&packed, size, 1, error);
    if (status == BASE_OK) {
        m->party->kern->pack_bits(packed, words, count, ring);
        status = pair_tape_put(m->tape, packed, size, m->party->next_tree, error);
    }
    base_free_secret(&packed);
    return status;
}

void pair_note_finish_jobs(struct pair_note *note)
{
    for (size_t i = 0; i < note->jobs; i++)
        note->job[i]->finish(note->job[i]);
    if (note->job != note->few)
        base_free(&note->job);
}

/* --- products: rows of crosses -------------------------------------------------------------------------------------------------------- */

/* rows > 0: of a matrix product, whose terms are added up over `inner`. */
struct product_note {
    struct pair_note note;
    size_t rows, outs, inner, count; /* count: words of the record */
    int ring;
    struct pair_cross *cross; /* [rows], or one */
    uint64_t *x, *y;          /* own masks */
    uint64_t *share;          /* of the crosses, one after the other */
    uint64_t *own;            /* [count] own products */
};

static void finish_product(struct pair_note *note)
{
    struct product_note *n = (struct product_note *)note;
    pair_note_finish_jobs(note);
    base_free(&n->cross);
    base_free_secret(&n->x);
    base_free_secret(&n->y);
    base_free_secret(&n->share);
    base_free_secret(&n->own);
    base_free(&n);
}

static enum base_status emit_product(struct pair_maker *m, struct pair_note *note, struct base_error *error)
{
    struct product_note *n = (struct product_note *)note;
    for (size_t r = 0; r < n->rows; r++)
        for (size_t i = 0; i < n->inner; i++)
            for (size_t o = 0; o < n->outs; o++)
                n->own[r * n->outs + o] += n->share[(r * n->inner + i) * n->outs + o];
    for (size_t i = 0; n->rows == 0 && i < n->count; i++)
        n->own[i] += n->share[i];
    return pair_emit_words(m, n->own, n->count, n->ring, error);
}

static struct pair_cross_form row_form(struct mpc_product_form form)
{
    return (struct pair_cross_form){.count = form.inner * form.outs, .group = form.outs, .ring = form.ring, .scalars = true};
}

struct pair_cost pair_note_product_cost(struct mpc_product_form form)
{
    struct pair_cost one = pair_cross_cost(row_form(form)), all = one;
    for (int id = 1; id <= 2; id++) {
        all.bytes[id] *= form.heads * form.rows;
        all.cots[id] *= form.heads * form.rows;
    }
    return all;
}

/* A note with room for `jobs` crosses. */
static enum base_status make_product(struct product_note **ret, size_t jobs, size_t x, size_t y, size_t share, struct base_error *error)
{
    enum base_status status;
    TRY(base_alloc(ret, 1, sizeof **ret, error));
    struct product_note *n = *ret;
    n->note.emit = emit_product;
    n->note.finish = finish_product;
    TRY(base_alloc(&n->note.job, jobs, sizeof *n->note.job, error));
    TRY(base_alloc(&n->cross, jobs, sizeof *n->cross, error));
    TRY(base_alloc(&n->x, x, sizeof *n->x, error));
    TRY(base_alloc(&n->y, y, sizeof *n->y, error));
    TRY(base_alloc(&n->share, share, sizeof *n->share, error));
out:
    return status;
}

static enum base_status add_cross(struct pair_maker *m, struct product_note *n, struct pair_cross_form form, const uint64_t *x, const uint64_t *y,
                                  uint64_t *share, struct base_error *error)
{
    struct pair_cross *cross = &n->cross[n->note.jobs];
    enum base_status status = pair_cross_init(cross, m->party, form, x, y, share, error);
    if (status == BASE_OK)
        n->note.job[n->note.jobs++] = &cross->job;
    return status;
}

enum base_status pair_note_product(struct pair_maker *m, struct mpc_product_form form, const uint64_t *x, const uint64_t *w, struct pair_note **ret,
                                   struct base_error *error)
{
    enum base_status status;
    size_t terms = form.inner * form.outs, rows = form.heads * form.rows;
    struct product_note *n = NULL;
    TRY(make_product(&n, rows, rows * form.inner, form.heads * terms, rows * terms, error));
    n->rows = rows;
    n->outs = form.outs;
    n->inner = form.inner;
    n->count = rows * form.outs;
    n->ring = form.ring;
    TRY(base_alloc(&n->own, n->count, sizeof *n->own, error));
    memcpy(n->x, x, rows * form.inner * sizeof *x);
    for (size_t h = 0; h < form.heads; h++)
        for (size_t o = 0; o < form.outs; o++)
            for (size_t i = 0; i < form.inner; i++)
                n->y[h * terms + i * form.outs + o] = w[(h * form.outs + o) * form.inner + i];
    for (size_t r = 0; r < rows; r++) {
        const uint64_t *row = n->x + r * form.inner, *y = n->y + r / form.rows * terms;
        TRY(add_cross(m, n, row_form(form), row, y, n->share + r * terms, error));
        for (size_t i = 0; i < form.inner; i++)
            for (size_t o = 0; o < form.outs; o++)
                n->own[r * form.outs + o] += row[i] * y[i * form.outs + o];
    }
    *ret = &n->note;
    n = NULL;
out:
    if (n != NULL)
        finish_product(&n->note);
    return status;
}

static struct pair_cross_form cross_form(struct mpc_cross_form form)
{
    return (struct pair_cross_form){.count = form.count, .group = form.group, .ring = form.ring, .scalars = form.scalars, .squares = form.squares};
}

struct pair_cost pair_note_cross_cost(struct mpc_cross_form form)
{
    return pair_cross_cost(cross_form(form));
}

enum base_status pair_note_cross(struct pair_maker *m, struct mpc_cross_form form, const uint64_t *x, const uint64_t *y, struct pair_note **ret,
                                 struct base_error *error)
{
    enum base_status status;
    size_t xs = form.scalars ? form.count / form.group : form.count;
    struct product_note *n = NULL;
    TRY(make_product(&n, 1, xs, form.count, form.count, error));
    n->count = form.scalars ? form.count : form.count / form.group;
    n->ring = form.ring;
    TRY(base_alloc(&n->own, n->count, sizeof *n->own, error));
    memcpy(n->x, x, xs * sizeof *x);
    memcpy(n->y, form.squares ? x : y, form.count * sizeof *y);
    TRY(add_cross(m, n, cross_form(form), n->x, n->y, n->share, error));
    for (size_t i = 0; i < form.count; i++)
        n->own[form.scalars ? i : i / form.group] += n->x[form.scalars ? i / form.group : i] * n->y[i];
    *ret = &n->note;
    n = NULL;
out:
    if (n != NULL)
        finish_product(&n->note);
    return status;
}

/* --- wraps ---------------------------------------------------------------------------------------------------------------------------- */

enum { STEPS = 3 }; /* a2 >= 1, 2, 3 */

struct wraps_note {
    struct pair_note note;
    struct mpc_wraps_form form;
    struct pair_gilboa gilboa;
    uint64_t *own;   /* P2: bits [STEPS count]; P1: words [M][STEPS count] */
    uint64_t *share; /* [M][STEPS count] */
    uint64_t *V;     /* [M][count] */
};

static struct pair_gilboa_form steps_form(struct mpc_wraps_form form)
{
    return (struct pair_gilboa_form){.sender = 1, .count = STEPS * form.count, .bits = 1, .width = MPC_WRAPS_READINGS, .ring = form.ring};
}

struct pair_cost pair_note_wraps_cost(struct mpc_wraps_form form)
{
    return pair_gilboa_cost(steps_form(form));
}

static void finish_wraps(struct pair_note *note)
{
    struct wraps_note *n = (struct wraps_note *)note;
    pair_note_finish_jobs(note);
    base_free_secret(&n->own);
    base_free_secret(&n->share);
    base_free_secret(&n->V);
    base_free(&n);
}

static enum base_status emit_wraps(struct pair_maker *m, struct pair_note *note, struct base_error *error)
{
    struct wraps_note *n = (struct wraps_note *)note;
    size_t count = n->form.count;
    for (size_t M = 0; M < MPC_WRAPS_READINGS; M++)
        for (size_t j = 0; j < STEPS; j++)
            for (size_t i = 0; i < count; i++)
                n->V[M * count + i] += n->share[(M * STEPS + j) * count + i];
    return pair_emit_words(m, n->V, MPC_WRAPS_READINGS * count, n->form.ring, error);
}

enum base_status pair_note_wraps(struct pair_maker *m, struct mpc_wraps_form form, const uint64_t *l, struct pair_note **ret, struct base_error *error)
{
    enum base_status status;
    size_t all = STEPS * form.count;
    bool sends = m->party->id == 1;
    struct wraps_note *n = NULL;
    TRY(base_alloc(&n, 1, sizeof *n, error));
    n->note.emit = emit_wraps;
    n->note.finish = finish_wraps;
    n->form = form;
    TRY_THAT(form.k >= 2 && form.ring >= 1 && form.ring <= 64, error, BASE_ERR_INTERNAL, "wraps of %d bits in %d", form.k, form.ring);
    TRY(base_alloc(&n->own, MPC_WRAPS_READINGS * all, sizeof *n->own, error));
    TRY(base_alloc(&n->share, MPC_WRAPS_READINGS * all, sizeof *n->share, error));
    TRY(base_alloc(&n->V, MPC_WRAPS_READINGS * form.count, sizeof *n->V, error));
    for (size_t i = 0; i < form.count; i++) {
        uint64_t a = l[i] >> (form.k - 2) & 3;
        for (uint64_t j = 1; j <= STEPS; j++) {
            size_t at = (j - 1) * form.count + i;
            if (!sends)
                n->own[at] = (a + 4 - j) >> 2; /* a >= j */
            for (uint64_t M = 0; sends && M < MPC_WRAPS_READINGS; M++)
                n->own[M * all + at] = pair_wraps_of(a + j, M) - pair_wraps_of(a + j - 1, M);
        }
        for (uint64_t M = 0; sends && M < MPC_WRAPS_READINGS; M++)
            n->V[M * form.count + i] = pair_wraps_of(a, M);
    }
    TRY(pair_gilboa_init(&n->gilboa, m->party, steps_form(form), n->own, n->share, error));
    pair_note_add(&n->note, &n->gilboa.job);
    *ret = &n->note;
    n = NULL;
out:
    if (n != NULL)
        finish_wraps(&n->note);
    return status;
}
