#include "pair/lasting.h"

#include "base/memory.h"

#include <string.h>

/* A slot that holds nothing. */
static const uint32_t nothing = UINT32_MAX;

static void free_part(struct pair_part *part)
{
    for (int owner = 1; owner <= 2; owner++) {
        pair_rlwe_rows_finish(&part->view[owner]);
        base_free(&part->number[owner]);
    }
    *part = (struct pair_part){0};
}

static void free_lasting(struct pair_lasting *l)
{
    for (size_t i = 0; i < l->parts; i++)
        free_part(&l->part[i]);
    base_free(&l->part);
    base_free(&l->stamp);
    base_free(&l->set);
    base_free(&l->place);
    base_free(&l);
}

void pair_store_drop(struct pair_store *store)
{
    for (struct pair_lasting *l = store->first, *next; l != NULL; l = next) {
        next = l->next;
        free_lasting(l);
    }
    store->first = NULL;
}

void pair_store_finish(struct pair_store *store)
{
    pair_store_drop(store);
    for (int narrow = 0; narrow < 2; narrow++) {
        struct pair_keys *keys = &store->keys[narrow];
        if (keys->rlwe != NULL)
            pair_rlwe_finish(keys->rlwe);
        base_free_locked(&keys->rlwe);
        keys->started = false;
    }
    store->complete = false;
    memset(store->id, 0, sizeof store->id);
}

bool pair_store_is_met(const struct pair_store *store)
{
    const struct pair_lasting *l = store->first;
    while (l != NULL && l->which.of != NULL)
        l = l->next;
    return l == NULL;
}

/* --- groups ------------------------------------------------------------------------------------------------------------------------ */

/* What a decode step with all slots in use sends for one owner. */
uint64_t pair_lasting_bytes(const struct pair_lasting *l)
{
    const struct pair_rlwe_params *params = pair_store_params(l->narrow);
    bool keys = l->which.lasting == MPC_KEYS;
    size_t group = l->group, rows = group * (keys ? l->which.room : l->outs), halves = (rows + PAIR_RLWE_N - 1) / PAIR_RLWE_N;
    size_t fresh = keys ? group * group * l->inner : group * rows, vectors = l->which.copies / l->copies;
    uint64_t answer = pair_rlwe_product_cost(params, 2, l->ring, rows, 1).bytes[1] + (halves - 1) * pair_rlwe_product_cost(params, 2, l->ring, 0, 1).bytes[1];
    return l->groups * (vectors * answer + pair_rlwe_encrypt_cost(params, 2, fresh, 1).bytes[2]);
}

static void set_group(struct pair_lasting *l, size_t copies, size_t group)
{
    l->heads = l->heads / l->copies * copies;
    l->copies = copies;
    l->group = group;
    l->groups = (l->heads + group - 1) / group;
    l->set_slots = l->which.room < PAIR_RLWE_N / group ? l->which.room : PAIR_RLWE_N / group;
}

/* Few heads: their zeros are memory at the evaluator, and work at the owner of K. */
static void choose_group(struct pair_lasting *l)
{
    enum { MOST_HEADS = 6 };
    size_t each[2] = {1, l->which.copies}, best_copies = 1, best_group = 1;
    uint64_t least = UINT64_MAX;
    for (int c = 0; c < 2; c++)
        for (size_t g = 1; g <= MOST_HEADS; g++) {
            set_group(l, each[c], g);
            if (g > l->heads || pair_lasting_bytes(l) >= least)
                continue;
            least = pair_lasting_bytes(l);
            best_copies = each[c];
            best_group = g;
        }
    set_group(l, best_copies, best_group);
}

/* --- finding ----------------------------------------------------------------------------------------------------------------------- */

static enum base_status make(const struct mpc_product_form *form, struct pair_lasting **ret, struct base_error *error)
{
    enum base_status status;
    struct pair_lasting *l = NULL;
    bool text = form->which.lasting != MPC_WEIGHTS;
    TRY(base_alloc(&l, 1, sizeof *l, error));
    l->which = form->which;
    l->which.stamp = NULL;
    l->narrow = form->ring <= pair_rlwe_32.plain;
    l->ring = form->ring;
    l->heads = form->heads;
    l->copies = 1;
    l->outs = form->which.lasting == MPC_KEYS ? 0 : form->outs;
    l->inner = form->which.lasting == MPC_VALUES ? 0 : form->inner;
    if (text) {
        TRY_THAT(form->which.copies > 0 && form->rows % form->which.copies == 0, error, BASE_ERR_INTERNAL, "%zu rows in %zu runs", form->rows, form->which.copies);
        TRY(base_alloc(&l->stamp, form->which.room, sizeof *l->stamp, error));
        TRY(base_alloc(&l->set, form->which.room, sizeof *l->set, error));
        TRY(base_alloc(&l->place, form->which.room, sizeof *l->place, error));
        for (size_t i = 0; i < form->which.room; i++)
            l->stamp[i] = nothing;
        choose_group(l);
    }
    *ret = l;
    l = NULL;
out:
    if (l != NULL)
        free_lasting(l);
    return status;
}

static bool fits(const struct pair_lasting *l, const struct mpc_product_form *form)
{
    bool keys = form->which.lasting == MPC_KEYS, values = form->which.lasting == MPC_VALUES;
    size_t slots = keys ? form->outs : values ? form->inner : 0;
    return l->heads == form->heads * l->copies && (!(keys || values) || l->which.copies == form->which.copies) && (keys || l->outs == form->outs) &&
           (values || l->inner == form->inner) && slots <= l->which.room;
}

static bool is_for(const struct pair_lasting *l, const struct mpc_product_form *form)
{
    return l->which.of == form->which.of && l->which.lasting == form->which.lasting && l->narrow == (form->ring <= pair_rlwe_32.plain);
}

bool pair_lasting_waits(const struct pair_store *store, const struct mpc_product_form *form)
{
    const struct pair_lasting *l = store->first;
    size_t slots = form->which.lasting == MPC_KEYS ? form->outs : form->inner;
    bool changes = false;
    while (l != NULL && !is_for(l, form))
        l = l->next;
    if (l == NULL || !l->noted)
        return false;
    for (size_t i = 0; i < slots && i < l->which.room; i++)
        changes = changes || l->stamp[i] != form->which.stamp[i];
    return changes || l->which.text != form->which.text;
}

enum base_status pair_lasting_find(struct pair_store *store, const struct mpc_product_form *form, struct pair_lasting **ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct pair_lasting **at = &store->first;
    while (*at != NULL && !is_for(*at, form))
        at = &(*at)->next;
    if (*at != NULL && (*at)->which.text != form->which.text) {
        struct pair_lasting *old = *at;
        TRY_THAT(!old->noted, error, BASE_ERR_INTERNAL, "a text ended while its products wait to be made");
        *at = old->next;
        free_lasting(old);
        while (*at != NULL)
            at = &(*at)->next;
    }
    if (*at == NULL && store->complete) {
        /* Read from a file: in the same order. */
        for (at = &store->first; *at != NULL && (*at)->which.of != NULL;)
            at = &(*at)->next;
        TRY_THAT(*at != NULL && (*at)->narrow == (form->ring <= pair_rlwe_32.plain), error, BASE_ERR_INTERNAL,
                 "weights that were not there when the others were encrypted: remove the file of encrypted masks and start again");
        (*at)->which.of = form->which.of;
    }
    if (*at == NULL)
        TRY(make(form, at, error));
    TRY_THAT(fits(*at, form), error, BASE_ERR_INTERNAL, "a matrix of %zu heads, %zu outs and %zu inner words changed to %zu, %zu and %zu", (*at)->heads,
             (*at)->outs, (*at)->inner, form->heads, form->outs, form->inner);
    *ret = *at;
out:
    return status;
}

/* --- parts ------------------------------------------------------------------------------------------------------------------------- */

enum base_status pair_lasting_add(struct pair_lasting *l, struct pair_keys *keys, const struct pair_party *p, struct pair_part part, size_t columns,
                                  size_t rows, struct base_error *error)
{
    enum base_status status;
    size_t stride = rows * (size_t)pair_store_params(l->narrow)->limbs, words;
    TRY(base_grow(&l->part, &l->part_room, l->parts + 1, sizeof *l->part, error));
    TRY_THAT(base_size_mul(stride, columns, &words), error, BASE_ERR_MEMORY, "encrypted masks of %zu columns are larger than memory", columns);
    for (int owner = 1; owner <= 2; owner++) {
        struct pair_rlwe_columns *numbers = &part.columns[owner];
        *numbers = (struct pair_rlwe_columns){.owner = owner, .columns = columns};
        if (p != NULL && columns > 0)
            pair_rlwe_columns_new(keys->rlwe, owner, columns, numbers);
        part.view[owner] = (struct pair_rlwe_rows){.first = numbers->first, .columns = columns, .rows = part.rows, .stride = stride};
        if (p != NULL && columns > 0 && p->id != owner)
            TRY(base_alloc(&part.view[owner].body, words, sizeof(uint64_t), error));
    }
    l->part[l->parts++] = part;
    return BASE_OK;
out:
    free_part(&part);
    return status;
}

void pair_lasting_free_sets(struct pair_lasting *l)
{
    size_t sets = l->parts / l->groups;
    for (size_t s = 0; s + 1 < sets; s++) {
        bool read = false;
        for (size_t slot = 0; slot < l->which.room; slot++)
            read = read || (l->stamp[slot] != nothing && l->set[slot] == s);
        for (size_t g = 0; g < l->groups && !read; g++)
            free_part(&l->part[s * l->groups + g]);
    }
}
