#include "pair/maker.h"

#include "base/memory.h"
#include "pair/cot.h"
#include "pair/notes.h"
#include "pair/point.h"

#include <string.h>

/* --- batches ------------------------------------------------------------------------------------------------------------------------- */

static void drop(struct pair_maker *m)
{
    for (struct pair_note *note = m->first, *next; note != NULL; note = next) {
        next = note->next;
        note->finish(note);
    }
    m->first = m->last = NULL;
}

/* All jobs of all notes side by side. */
static enum base_status run_notes(struct pair_maker *m, struct base_error *error)
{
    enum base_status status;
    struct pair_job **jobs = NULL;
    size_t count = 0;
    for (const struct pair_note *note = m->first; note != NULL; note = note->next)
        count += note->jobs;
    TRY(base_alloc(&jobs, count, sizeof *jobs, error));
    count = 0;
    for (const struct pair_note *note = m->first; note != NULL; note = note->next)
        for (size_t i = 0; i < note->jobs; i++)
            jobs[count++] = note->job[i];
    for (struct pair_note *note = m->first; note != NULL; note = note->next)
        note->jobs = 0; /* pair_run finishes them */
    TRY(pair_run(m->party, jobs, count, error));
    for (struct pair_note *note = m->first; note != NULL; note = note->next)
        TRY(note->emit(m, note, error));
out:
    base_free(&jobs);
    return status;
}

/* What pair_run would declare, extension of COTs included. */
static struct pair_cost count_batch(struct pair_maker *m)
{
    uint64_t lacking[3] = {0};
    for (int s = 1; s <= 2; s++) {
        uint64_t wanted = m->noted.cots[s];
        if (wanted > m->pool[s])
            lacking[s] = (wanted - m->pool[s] + PAIR_COT_BATCH - 1) / PAIR_COT_BATCH * PAIR_COT_BATCH;
        m->pool[s] += lacking[s] - wanted;
    }
    struct pair_cost extension = {0};
    if (lacking[1] + lacking[2] > 0)
        extension = pair_cot_extend_cost(lacking, m->k);
    return pair_cost_then(extension, m->noted);
}

static void clear_noted(struct pair_maker *m)
{
    for (struct pair_lasting *l = m->text.first; l != NULL; l = l->next)
        l->noted = false;
}

/* Makes all that is noted. */
static enum base_status run_batch(struct pair_maker *m, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct pair_cost batch = count_batch(m);
    if (m->party != NULL)
        status = run_notes(m, error);
    drop(m);
    clear_noted(m);
    m->made = pair_cost_then(m->made, batch);
    m->noted = (struct pair_cost){0};
    m->weight = 0;
    m->unsaid += batch.bytes[1] + batch.bytes[2];
    return status;
}

/* --- notes --------------------------------------------------------------------------------------------------------------------------- */

/* Adds a note, NULL where this maker only counts, and what it costs; `more`: memory beyond messages and COTs. */
static void keep(struct pair_maker *m, struct pair_note *note, struct pair_cost cost, uint64_t more)
{
    enum { BLOCKS = 2 * sizeof(struct pair_block) };
    m->noted = pair_cost_beside(m->noted, cost);
    m->weight += 4 * (cost.bytes[1] + cost.bytes[2]) + BLOCKS * (cost.cots[1] + cost.cots[2]) + more;
    if (note == NULL)
        return;
    if (m->last == NULL)
        m->first = note;
    else
        m->last->next = note;
    m->last = note;
}

static enum base_status product(void *context, struct mpc_product_form form, const uint64_t *x, const uint64_t *w, struct base_error *error)
{
    struct pair_maker *m = context;
    struct pair_noted noted = {0};
    bool made = false, waits = form.which.lasting != MPC_ONCE && pair_lasting_waits(&m->text, &form);
    enum base_status status = waits ? run_batch(m, error) : BASE_OK;
    if (status == BASE_OK)
        status = pair_note_matrix(m, form, x, w, &noted, &made, error);
    if (m->weights_only)
        return status;
    if (status == BASE_OK && !made) {
        noted.cost = pair_note_product_cost(form);
        status = m->party == NULL ? BASE_OK : pair_note_product(m, form, x, w, &noted.note, error);
    }
    if (status == BASE_OK)
        keep(m, noted.note, noted.cost, noted.more);
    return status;
}

static enum base_status cross(void *context, struct mpc_cross_form form, const uint64_t *x, const uint64_t *y, struct base_error *error)
{
    struct pair_maker *m = context;
    struct pair_noted noted = {0};
    bool made = false;
    if (m->weights_only)
        return BASE_OK;
    enum base_status status = pair_note_scalars(m, form, x, y, &noted, &made, error);
    if (status == BASE_OK && !made) {
        noted.cost = pair_note_cross_cost(form);
        status = m->party == NULL ? BASE_OK : pair_note_cross(m, form, x, y, &noted.note, error);
    }
    if (status == BASE_OK)
        keep(m, noted.note, noted.cost, noted.more);
    return status;
}

static enum base_status wraps(void *context, struct mpc_wraps_form form, const uint64_t *l, struct base_error *error)
{
    struct pair_maker *m = context;
    struct pair_note *note = NULL;
    if (m->weights_only)
        return BASE_OK;
    enum base_status status = m->party == NULL ? BASE_OK : pair_note_wraps(m, form, l, &note, error);
    keep(m, note, pair_note_wraps_cost(form), 0);
    return status;
}

static enum base_status chosen(void *context, struct mpc_chosen_form form, const uint64_t *rho, const uint64_t *l, struct base_error *error)
{
    struct pair_maker *m = context;
    struct pair_note *note = NULL;
    if (m->weights_only)
        return BASE_OK;
    enum base_status status = m->party == NULL ? BASE_OK : pair_note_chosen(m, form, rho, l, &note, error);
    keep(m, note, pair_note_chosen_cost(form), 0);
    return status;
}

static enum base_status points(void *context, struct mpc_point_form form, const uint64_t *index, const uint64_t *low, const uint64_t *times,
                               struct base_error *error)
{
    enum { LEAF = 24 };
    struct pair_maker *m = context;
    struct pair_note *note = NULL;
    if (m->weights_only)
        return BASE_OK;
    enum base_status status = m->party == NULL ? BASE_OK : pair_note_points(m, form, index, low, times, &note, error);
    keep(m, note, pair_note_points_cost(form), (uint64_t)form.count * LEAF << form.h);
    return status;
}

static enum base_status turned(void *context, struct mpc_turned_form form, const uint64_t *by, struct base_error *error)
{
    struct pair_maker *m = context;
    struct pair_note *note = NULL;
    if (m->weights_only)
        return BASE_OK;
    enum base_status status = m->party == NULL ? BASE_OK : pair_note_turned(m, form, by, &note, error);
    keep(m, note, pair_note_turned_cost(form), (uint64_t)form.count * 2 * sizeof(struct pair_block) << form.h);
    return status;
}

static enum base_status bits(void *context, struct mpc_bits_form form, const uint64_t *own, struct base_error *error)
{
    struct pair_maker *m = context;
    struct pair_note *note = NULL;
    if (m->weights_only)
        return BASE_OK;
    enum base_status status = m->party == NULL ? BASE_OK : pair_note_bits(m, form, own, &note, error);
    keep(m, note, pair_note_bits_cost(form), 0);
    return status;
}

static enum base_status run(void *context, bool last, uint64_t *ret_bytes, struct base_error *error)
{
    struct pair_maker *m = context;
    enum base_status status = BASE_OK;
    if (m->weight > 0 && (last || m->weight >= (m->batch == 0 ? PAIR_MAKER_BATCH : m->batch)))
        status = run_batch(m, error);
    *ret_bytes = m->unsaid;
    m->unsaid = 0;
    return status;
}

/* Of a maker that only counts, weights too: those of a party outlive its graphs. */
static void forget(void *context)
{
    struct pair_maker *m = context;
    pair_maker_drop(m);
    if (m->party == NULL)
        pair_store_drop(m->model);
}

void pair_maker_init(struct pair_maker *ret, struct pair_party *party, struct pair_tape *tape)
{
    *ret = (struct pair_maker){.model = &ret->own_model, .party = party, .tape = tape, .k = party == NULL ? 0 : pair_cot_k(party)};
    ret->of_party = (struct mpc_maker){.product = product, .cross = cross, .wraps = wraps, .chosen = chosen, .points = points, .turned = turned,
                                       .bits = bits, .run = run, .forget = forget, .context = ret};
}

void pair_maker_count(struct pair_maker *ret, int k)
{
    pair_maker_init(ret, NULL, NULL);
    ret->k = k;
}

struct pair_cost pair_maker_text_keys(const struct pair_maker *maker)
{
    struct pair_cost cost = {0};
    for (int narrow = 0; narrow < 2; narrow++)
        if (maker->text.keys[narrow].started)
            cost = pair_cost_then(cost, pair_rlwe_start_cost(pair_store_params(narrow == 1)));
    return cost;
}

void pair_maker_drop(struct pair_maker *maker)
{
    drop(maker);
    pair_store_drop(&maker->text);
    maker->noted = (struct pair_cost){0};
    maker->weight = 0;
}

void pair_maker_finish(struct pair_maker *maker)
{
    pair_maker_drop(maker);
    pair_store_finish(&maker->text);
    pair_store_finish(&maker->own_model);
}

/* --- reading ------------------------------------------------------------------------------------------------------------------------- */

static struct pair_point_form point_form(struct mpc_point_form form)
{
    struct pair_point_form point = {.count = form.count, .h = form.h, .groups = mpc_point_words(form.payload)};
    for (int g = 0; g < point.groups; g++)
        point.rings[g] = form.ring;
    return point;
}

static size_t record_size(struct mpc_point_form form)
{
    struct pair_point_form point = point_form(form);
    return pair_point_record_size(&point);
}

static enum base_status expand(void *context, struct mpc_point_form form, const uint8_t *record, uint64_t *ret, struct base_error *error)
{
    struct pair_reader *reader = context;
    struct pair_point_keys keys = {0};
    reader->view.next_tree = pair_tape_trees(reader->tape);
    enum base_status status = pair_point_unpack(&reader->view, point_form(form), record, &keys, error);
    if (status == BASE_OK)
        status = pair_point_expand(&reader->view, &keys, 0, form.count, ret, error);
    pair_point_keys_finish(&keys);
    return status;
}

void pair_reader_init(struct pair_reader *ret, const struct pair_party *party, struct pair_tape *tape)
{
    *ret = (struct pair_reader){.tape = tape, .view = {.id = party->id, .kern = party->kern, .cot = party->cot}};
    ret->of_party = (struct mpc_maker){.record_size = record_size, .expand = expand, .context = ret};
}
