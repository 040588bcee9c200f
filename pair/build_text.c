/* Rows of a text as they come: the encryption of K and V (pair/lasting.h). */
#include "base/memory.h"
#include "pair/build.h"

#include <string.h>

static size_t heads_of(const struct pair_lasting *l, size_t g)
{
    size_t left = l->heads - g * l->group;
    return left < l->group ? left : l->group;
}

static enum base_status new_set(struct pair_build *b, struct pair_lasting *l, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (size_t g = 0; g < l->groups; g++) {
        size_t heads = heads_of(l, g);
        TRY(pair_lasting_add(l, b->keys, b->m->party, (struct pair_part){.heads = heads}, heads * l->inner, heads * l->set_slots, error));
    }
    l->last_slots = 0;
out:
    return status;
}

/* K of slots [0, count) of `slot`, in coefficients behind those of the last set. w: [heads / copies][outs][inner]. */
static enum base_status encrypt_keys(struct pair_build *b, struct pair_lasting *l, const uint32_t *slot, size_t count, const uint64_t *w, size_t outs,
                                     struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t base = l->parts - l->groups;
    for (size_t g = 0; g < l->groups; g++) {
        struct pair_part *part = &l->part[base + g];
        size_t heads = part->heads, rows = count * heads, columns = heads * l->inner;
        uint64_t *matrix = NULL;
        if (b->n != NULL)
            TRY(pair_build_keep(b->n, &matrix, rows * columns, sizeof *matrix, error));
        for (size_t i = 0; matrix != NULL && i < count; i++)
            for (size_t h = 0; h < heads; h++) {
                const uint64_t *row = w + ((pair_first_head(l, g) + h) / l->copies * outs + slot[i]) * l->inner;
                memcpy(matrix + (i * heads + h) * columns + h * l->inner, row, l->inner * sizeof *matrix);
            }
        for (int owner = 1; owner <= 2; owner++) {
            struct pair_rlwe_rows *view = &part->view[owner], *fresh;
            struct pair_rlwe_encrypt_form form = {
                .rlwe = b->keys->rlwe, .columns = &part->columns[owner], .rows = rows, .stride = view->stride,
                .into = view->body == NULL ? NULL : view->body + part->rows * (size_t)b->params->limbs};
            TRY(pair_build_encrypt(b, form, matrix, &fresh, error));
            view->rows = part->rows + rows;
        }
        part->rows += rows;
    }
    for (size_t i = 0; i < count; i++) {
        l->set[slot[i]] = (uint32_t)(base / l->groups);
        l->place[slot[i]] = (uint32_t)(l->last_slots + i);
    }
    l->last_slots += count;
out:
    return status;
}

static enum base_status grow_values(struct pair_build *b, struct pair_lasting *l, struct pair_part *part, size_t slots, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t columns = slots * part->heads, stride = part->heads * l->outs * (size_t)b->params->limbs;
    for (int owner = 1; owner <= 2 && b->m->party != NULL; owner++) {
        struct pair_rlwe_rows *view = &part->view[owner];
        TRY(base_grow(&part->number[owner], &part->number_room[owner], columns, sizeof(uint64_t), error));
        if (b->m->party->id != owner)
            TRY(base_grow(&view->body, &part->body_room[owner], columns, stride * sizeof(uint64_t), error));
        view->number = part->number[owner];
    }
    for (int owner = 1; owner <= 2; owner++) {
        part->view[owner].columns = columns;
        part->view[owner].rows = part->rows = part->heads * l->outs;
        part->view[owner].stride = stride;
    }
out:
    return status;
}

/* V of slots [slot, slot + count) of one group, as columns of new numbers. w: [heads / copies][outs][inner]. */
static enum base_status encrypt_values(struct pair_build *b, struct pair_lasting *l, size_t g, size_t slot, size_t count, const uint64_t *w, size_t inner,
                                       struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct pair_part *part = &l->part[g];
    size_t heads = part->heads, columns = count * heads, rows = heads * l->outs;
    uint64_t *matrix = NULL;
    if (b->n != NULL)
        TRY(pair_build_keep(b->n, &matrix, rows * columns, sizeof *matrix, error));
    for (size_t h = 0; matrix != NULL && h < heads; h++)
        for (size_t o = 0; o < l->outs; o++)
            for (size_t i = 0; i < count; i++)
                matrix[(h * l->outs + o) * columns + i * heads + h] = w[((pair_first_head(l, g) + h) / l->copies * l->outs + o) * inner + slot + i];
    for (int owner = 1; owner <= 2; owner++) {
        struct pair_rlwe_rows *view = &part->view[owner], *fresh;
        struct pair_rlwe_columns numbers = {.owner = owner, .columns = columns};
        if (b->n != NULL)
            pair_rlwe_columns_new(b->keys->rlwe, owner, columns, &numbers);
        for (size_t j = 0; b->n != NULL && j < columns; j++)
            part->number[owner][slot * heads + j] = numbers.first + j;
        struct pair_rlwe_encrypt_form form = {.rlwe = b->keys->rlwe, .columns = &numbers, .rows = rows, .stride = view->stride,
                                              .into = view->body == NULL ? NULL : view->body + slot * heads * view->stride};
        TRY(pair_build_encrypt(b, form, matrix, &fresh, error));
    }
out:
    return status;
}

enum base_status pair_build_text(struct pair_build *b, struct pair_lasting *l, const struct mpc_product_form *form, const uint64_t *w, struct base_error *error)
{
    enum base_status status = BASE_OK;
    bool keys = form->which.lasting == MPC_KEYS;
    size_t slots = keys ? form->outs : form->inner, count = 0;
    uint32_t *fresh = NULL;
    TRY(base_alloc(&fresh, slots, sizeof *fresh, error));
    for (size_t i = 0; i < slots; i++) {
        if (l->stamp[i] != form->which.stamp[i])
            fresh[count++] = (uint32_t)i;
        l->stamp[i] = form->which.stamp[i];
    }
    TRY_THAT(count == 0 || !l->noted, error, BASE_ERR_INTERNAL, "rows came to a cache whose products wait to be made");
    for (size_t at = 0, run; keys && at < count; at += run) {
        if (l->parts == 0 || l->last_slots == l->set_slots)
            TRY(new_set(b, l, error));
        run = count - at < l->set_slots - l->last_slots ? count - at : l->set_slots - l->last_slots;
        TRY(encrypt_keys(b, l, fresh + at, run, w, form->outs, error));
    }
    if (keys)
        pair_lasting_free_sets(l);
    for (size_t g = 0; !keys && g < l->groups; g++) {
        if (l->parts <= g)
            TRY(pair_lasting_add(l, b->keys, b->m->party, (struct pair_part){.heads = heads_of(l, g)}, 0, 0, error));
        TRY(grow_values(b, l, &l->part[g], slots, error));
        for (size_t at = 0, run; at < count; at += run) {
            for (run = 1; at + run < count && fresh[at + run] == fresh[at] + run;)
                run++;
            TRY(encrypt_values(b, l, g, fresh[at], run, w, form->inner, error));
        }
    }
out:
    base_free(&fresh);
    return status;
}
