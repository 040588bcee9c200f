/* Notes of scalars with their words by encrypted masks: each scalar meets one column. */
#include "pair/build.h"

#include <string.h>

static enum base_status emit_scalars(struct pair_maker *m, struct pair_note *note, struct base_error *error)
{
    struct pair_build_note *n = (struct pair_build_note *)note;
    size_t group = n->form.outs, runs = (group + PAIR_RLWE_N - 1) / PAIR_RLWE_N;
    for (size_t i = 0; i < n->pieces; i++) {
        size_t at = n->piece[i].part % runs * PAIR_RLWE_N, rows = group - at < PAIR_RLWE_N ? group - at : PAIR_RLWE_N;
        for (size_t r = 0; r < rows; r++)
            n->own[n->piece[i].part / runs * group + at + r] += n->piece[i].share[r];
    }
    return pair_emit_words(m, n->own, n->count, n->ring, error);
}

/* Words y [rows] of scalar x as one column, in both directions. */
static enum base_status add_scalar(struct pair_build *b, size_t part, size_t rows, const uint64_t *x, const uint64_t *y, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (int owner = 1; owner <= 2; owner++) {
        struct pair_rlwe_columns numbers = {.owner = owner, .columns = 1};
        struct pair_rlwe_rows *fresh = NULL;
        uint64_t *body = NULL;
        if (b->n != NULL) {
            TRY(pair_build_keep(b->n, &body, rows * (size_t)b->params->limbs, sizeof *body, error));
            pair_rlwe_columns_new(b->keys->rlwe, owner, 1, &numbers);
        }
        struct pair_rlwe_encrypt_form form = {.rlwe = b->keys->rlwe, .columns = &numbers, .rows = rows, .into = body};
        TRY(pair_build_encrypt(b, form, y, &fresh, error));
        TRY(pair_build_product(b, owner, part, fresh, rows, 1, x, error));
    }
out:
    return status;
}

enum base_status pair_note_scalars(struct pair_maker *m, struct mpc_cross_form form, const uint64_t *x, const uint64_t *y, struct pair_noted *ret, bool *ret_made,
                                   struct base_error *error)
{
    enum base_status status = BASE_OK;
    bool narrow = form.ring <= pair_rlwe_32.plain;
    struct pair_build b = {.m = m, .ring = form.ring, .keys = &m->text.keys[narrow], .params = pair_store_params(narrow)};
    size_t scalars = form.scalars ? form.count / form.group : 0, runs = (form.group + PAIR_RLWE_N - 1) / PAIR_RLWE_N;
    uint64_t encrypted = 0, *words = NULL;
    *ret_made = false;
    for (size_t at = 0; at < form.group; at += PAIR_RLWE_N) {
        size_t rows = form.group - at < PAIR_RLWE_N ? form.group - at : PAIR_RLWE_N;
        encrypted += 2 * (pair_rlwe_product_cost(b.params, 2, form.ring, rows, 1).bytes[1] + pair_rlwe_encrypt_cost(b.params, 2, 1, rows).bytes[2]);
    }
    if (scalars == 0 || !pair_build_chooses(m, scalars * encrypted, pair_build_weigh(m, pair_note_cross_cost(form))))
        return BASE_OK;
    TRY(pair_build_keys(&b, error));
    TRY(pair_build_note(&b, form.count, form.ring, emit_scalars, error));
    if (b.n != NULL) {
        b.n->form.outs = form.group;
        TRY(pair_build_keep(b.n, &words, scalars + form.count, sizeof *words, error));
        memcpy(words, x, scalars * sizeof *words);
        memcpy(words + scalars, y, form.count * sizeof *words);
        for (size_t i = 0; i < form.count; i++)
            b.n->own[i] = x[i / form.group] * y[i];
    }
    for (size_t i = 0; i < scalars; i++)
        for (size_t run = 0; run < runs; run++) {
            size_t at = run * PAIR_RLWE_N, rows = form.group - at < PAIR_RLWE_N ? form.group - at : PAIR_RLWE_N;
            TRY(add_scalar(&b, i * runs + run, rows, words == NULL ? NULL : words + i, words == NULL ? NULL : words + scalars + i * form.group + at, error));
        }
    *ret_made = true;
out:
    *ret = pair_build_taken(&b, status);
    return status;
}
