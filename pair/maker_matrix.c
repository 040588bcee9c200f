/* Notes of products of matrices that stay, by encrypted masks (pair/lasting.h). */
#include "base/memory.h"
#include "pair/build.h"

#include <string.h>

/* --- weights, at once ---------------------------------------------------------------------------------------------------------------- */

/* Columns [first, first + count) of a part for both owners, in one exchange. */
static enum base_status encrypt_columns(struct pair_build *b, struct pair_part *part, const uint64_t *w, size_t inner, size_t first, size_t count,
                                        struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct pair_cost cost = {0};
    struct pair_rlwe_encrypt job[3];
    struct pair_rlwe_rows rows[3];
    struct pair_job *jobs[2];
    struct pair_rlwe_columns columns[3];
    for (int owner = 1; owner <= 2; owner++) {
        columns[owner] = (struct pair_rlwe_columns){.owner = owner, .first = part->columns[owner].first + first, .columns = count};
        cost = pair_cost_beside(cost, pair_rlwe_encrypt_cost(b->params, owner, count, part->rows));
        if (b->m->party == NULL)
            continue;
        const struct pair_rlwe_rows *view = &part->view[owner];
        struct pair_rlwe_encrypt_form form = {.rlwe = b->keys->rlwe, .columns = &columns[owner], .rows = part->rows, .line = inner, .stride = view->stride,
                                              .into = view->body == NULL ? NULL : view->body + first * view->stride};
        TRY(pair_rlwe_encrypt_init(&job[owner], b->m->party, form, w + first, &rows[owner], error));
        jobs[owner - 1] = &job[owner].job;
    }
    if (b->m->party != NULL)
        TRY(pair_run(b->m->party, jobs, 2, error));
    b->m->once = pair_cost_then(b->m->once, cost);
out:
    return status;
}

static enum base_status encrypt_weights(struct pair_build *b, struct pair_lasting *l, const uint64_t *w, struct base_error *error)
{
    /* Of a message: bytes, and columns, which are a second of work: the peer waits for it. */
    enum { MESSAGE = 4 << 20, COLUMNS = 128 };
    enum base_status status = BASE_OK;
    for (size_t at = 0; at < l->outs; at += PAIR_RLWE_N) {
        size_t rows = l->outs - at < PAIR_RLWE_N ? l->outs - at : PAIR_RLWE_N, together = MESSAGE / (8 * (size_t)b->params->limbs * rows) + 1;
        together = together < COLUMNS ? together : COLUMNS;
        TRY(pair_lasting_add(l, b->keys, b->m->party, (struct pair_part){.rows = rows}, l->inner, rows, error));
        struct pair_part *part = &l->part[l->parts - 1];
        for (size_t first = 0; first < l->inner; first += together) {
            size_t left = l->inner - first;
            TRY(encrypt_columns(b, part, w == NULL ? NULL : w + at * l->inner, l->inner, first, left < together ? left : together, error));
            if (b->m->told != NULL)
                b->m->told(b->m->told_context, l->outs, l->inner, first + (left < together ? left : together));
        }
        part->columns[1].used = part->columns[2].used = rows;
    }
out:
    return status;
}

/* --- answers ------------------------------------------------------------------------------------------------------------------------- */

/* What meets the columns of a part: [rows][columns]. */
static enum base_status lay_vector(struct pair_build *b, const struct pair_lasting *l, size_t part, const struct mpc_product_form *form, const uint64_t *x,
                                   const uint64_t **ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    bool values = form->which.lasting == MPC_VALUES;
    size_t heads = form->which.lasting == MPC_WEIGHTS ? 1 : l->part[part].heads, first = form->which.lasting == MPC_WEIGHTS ? 0 : pair_first_head(l, part);
    size_t columns = heads * form->inner;
    uint64_t *vector = NULL;
    *ret = NULL;
    if (b->n == NULL)
        return BASE_OK;
    TRY(pair_build_keep(b->n, &vector, form->rows * columns, sizeof *vector, error));
    for (size_t r = 0; r < form->rows; r++)
        for (size_t h = 0; h < heads; h++)
            for (size_t i = 0; i < form->inner; i++)
                vector[r * columns + (values ? i * heads + h : h * form->inner + i)] = x[((first + h) * form->rows + r) * form->inner + i];
    *ret = vector;
out:
    return status;
}

static enum base_status answer(struct pair_build *b, struct pair_lasting *l, const struct mpc_product_form *form, const uint64_t *x, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (size_t i = 0; i < l->parts; i++) {
        const struct pair_part *part = &l->part[i];
        const uint64_t *vector;
        if (part->rows == 0)
            continue;
        TRY(lay_vector(b, l, i, form, x, &vector, error));
        for (int owner = 1; owner <= 2; owner++)
            TRY(pair_build_product(b, owner, i, &part->view[owner], part->rows, form->rows, vector, error));
    }
out:
    return status;
}

/* Adds an answer of K or V to the record. */
static void add_heads(struct pair_build_note *n, const struct pair_lasting *l, const struct pair_piece *piece)
{
    const struct mpc_product_form *form = &n->form;
    const struct pair_part *part = &l->part[piece->part];
    for (size_t h = 0; h < part->heads; h++)
        for (size_t r = 0; r < form->rows; r++) {
            uint64_t *to = n->own + ((pair_first_head(l, piece->part) + h) * form->rows + r) * form->outs;
            const uint64_t *share = piece->share + r * part->rows;
            for (size_t o = 0; o < form->outs; o++) {
                if (form->which.lasting == MPC_VALUES)
                    to[o] += share[h * form->outs + o];
                else if (l->set[o] == piece->part / l->groups)
                    to[o] += share[l->place[o] * part->heads + h];
            }
        }
}

static enum base_status emit_matrix(struct pair_maker *m, struct pair_note *note, struct base_error *error)
{
    struct pair_build_note *n = (struct pair_build_note *)note;
    const struct mpc_product_form *form = &n->form;
    for (size_t i = 0; i < n->pieces; i++) {
        const struct pair_piece *piece = &n->piece[i];
        if (form->which.lasting != MPC_WEIGHTS) {
            add_heads(n, n->of, piece);
            continue;
        }
        size_t rows = n->of->part[piece->part].rows, first = piece->part * PAIR_RLWE_N;
        for (size_t r = 0; r < form->rows; r++)
            for (size_t o = 0; o < rows; o++)
                n->own[r * form->outs + first + o] += piece->share[r * rows + o];
    }
    return pair_emit_words(m, n->own, n->count, n->ring, error);
}

static void multiply_own(struct pair_build_note *n, const struct mpc_product_form *f, const uint64_t *x, const uint64_t *w)
{
    for (size_t h = 0; h < f->heads; h++)
        for (size_t r = 0; r < f->rows; r++)
            for (size_t o = 0; o < f->outs; o++) {
                uint64_t sum = 0;
                for (size_t i = 0; i < f->inner; i++)
                    sum += x[(h * f->rows + r) * f->inner + i] * w[(h * f->outs + o) * f->inner + i];
                n->own[(h * f->rows + r) * f->outs + o] = sum;
            }
}

/* By its cost at its largest; the same for the life of the matrix. */
static bool pays(const struct pair_maker *m, const struct pair_lasting *l, const struct mpc_product_form *form)
{
    struct mpc_product_form one = *form;
    uint64_t encrypted = 0;
    one.rows = form->which.lasting == MPC_WEIGHTS ? 1 : form->which.copies;
    if (form->which.lasting == MPC_WEIGHTS) {
        for (size_t at = 0; at < form->outs; at += PAIR_RLWE_N) {
            size_t rows = form->outs - at < PAIR_RLWE_N ? form->outs - at : PAIR_RLWE_N;
            encrypted += 2 * pair_rlwe_product_cost(pair_store_params(l->narrow), 2, l->ring, rows, 1).bytes[1];
        }
    } else {
        encrypted = 2 * pair_lasting_bytes(l);
        one.outs = form->which.lasting == MPC_KEYS ? form->which.room : form->outs;
        one.inner = form->which.lasting == MPC_VALUES ? form->which.room : form->inner;
    }
    return pair_build_chooses(m, encrypted, pair_build_weigh(m, pair_note_product_cost(one)));
}

enum base_status pair_note_matrix(struct pair_maker *m, struct mpc_product_form form, const uint64_t *x, const uint64_t *w, struct pair_noted *ret, bool *ret_made,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    bool weights = form.which.lasting == MPC_WEIGHTS;
    struct pair_build b = {.m = m, .ring = form.ring};
    struct pair_store *store = weights ? m->model : &m->text;
    struct pair_lasting *l;
    *ret_made = false;
    if (form.which.lasting == MPC_ONCE || m->linear == PAIR_LINEAR_GILBOA || (m->weights_only && !weights))
        return BASE_OK;
    TRY(pair_lasting_find(store, &form, &l, error));
    if (!pays(m, l, &form))
        return BASE_OK;
    b.keys = &store->keys[l->narrow];
    b.params = pair_store_params(l->narrow);
    TRY(pair_build_keys(&b, error));
    if (weights && l->parts == 0) {
        TRY_THAT(!store->complete, error, BASE_ERR_INTERNAL, "weights that were kept without being encrypted cannot be encrypted now");
        TRY(encrypt_weights(&b, l, w, error));
    }
    if (m->weights_only)
        return BASE_OK;
    TRY(pair_build_note(&b, form.heads * form.rows * form.outs, form.ring, emit_matrix, error));
    if (b.n != NULL) {
        b.n->of = l;
        multiply_own(b.n, &form, x, w);
    }
    /* Copies of a head have rows of their own. */
    struct mpc_product_form spread = form;
    spread.heads *= l->copies;
    spread.rows /= l->copies;
    if (b.n != NULL)
        b.n->form = spread;
    if (!weights)
        TRY(pair_build_text(&b, l, &form, w, error));
    TRY(answer(&b, l, &spread, x, error));
    l->noted = !weights;
    *ret_made = true;
out:
    *ret = pair_build_taken(&b, status);
    return status;
}
