/* Notes of gates: keys of point functions with their payloads, and turned patterns. */
#include "base/memory.h"
#include "pair/bits.h"
#include "pair/notes.h"
#include "pair/payload.h"
#include "pair/point.h"
#include "pair/table.h"

#include <string.h>

/* --- points -------------------------------------------------------------------------------------------------------------------------- */

struct points_note {
    struct pair_note note;
    struct pair_powers powers;
    struct pair_factors factors;
    struct pair_bits bit;
    struct pair_point point;
    struct pair_point_keys keys;
    uint64_t *index, *low, *beta; /* [count]; [count], with `times` behind it; [words][count] */
};

static struct pair_point_form point_form(struct mpc_point_form form)
{
    struct pair_point_form point = {.count = form.count, .h = form.h, .groups = mpc_point_words(form.payload)};
    for (int g = 0; g < point.groups; g++)
        point.rings[g] = form.ring;
    return point;
}

static struct pair_powers_form powers_form(struct mpc_point_form form)
{
    return (struct pair_powers_form){.count = form.count, .bits = form.bits, .ring = form.ring, .times = form.payload == MPC_PAYLOAD_TIMES};
}

static struct pair_factors_form factors_form(struct mpc_point_form form)
{
    return (struct pair_factors_form){.count = form.count, .bits = form.bits, .frac = form.frac, .ring = form.ring};
}

static struct pair_bits_form bit_form(struct mpc_point_form form)
{
    return (struct pair_bits_form){.count = form.count, .bits = 1, .ring = form.ring};
}

struct pair_cost pair_note_points_cost(struct mpc_point_form form)
{
    struct pair_cost cost = pair_point_cost(point_form(form));
    if (form.payload == MPC_PAYLOAD_FACTORS)
        cost = pair_cost_beside(cost, pair_factors_cost(factors_form(form)));
    else if (form.payload == MPC_PAYLOAD_BIT)
        cost = pair_cost_beside(cost, pair_bits_cost(bit_form(form)));
    else if (form.payload != MPC_PAYLOAD_WORD)
        cost = pair_cost_beside(cost, pair_powers_cost(powers_form(form)));
    return cost;
}

static void finish_points(struct pair_note *note)
{
    struct points_note *n = (struct points_note *)note;
    pair_note_finish_jobs(note);
    pair_point_keys_finish(&n->keys);
    base_free_secret(&n->index);
    base_free_secret(&n->low);
    base_free_secret(&n->beta);
    base_free(&n);
}

static enum base_status emit_points(struct pair_maker *m, struct pair_note *note, struct base_error *error)
{
    struct points_note *n = (struct points_note *)note;
    size_t size = pair_point_record_size(&n->keys.form);
    uint8_t *record = NULL;
    enum base_status status = base_alloc(&record, size, 1, error);
    if (status == BASE_OK) {
        pair_point_pack(m->party, &n->keys, record);
        status = pair_tape_put(m->tape, record, size, m->party->next_tree, error);
    }
    base_free_secret(&record);
    return status;
}

/* The job that makes beta; none for one public word, which is P1's. */
static enum base_status add_payload(struct pair_maker *m, struct points_note *n, struct mpc_point_form form, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct pair_job *job = &n->powers.job;
    bool begins = form.payload == MPC_PAYLOAD_WORD || form.payload == MPC_PAYLOAD_BIT;
    for (size_t i = 0; begins && i < form.count; i++)
        n->beta[i] = m->party->id == 2 ? 0 : form.payload == MPC_PAYLOAD_WORD ? form.word : 1;
    if (form.payload == MPC_PAYLOAD_WORD)
        return BASE_OK;
    if (form.payload == MPC_PAYLOAD_FACTORS) {
        TRY(pair_factors_init(&n->factors, m->party, factors_form(form), n->low, n->beta, error));
        job = &n->factors.job;
    } else if (form.payload == MPC_PAYLOAD_BIT) {
        TRY(pair_bits_init(&n->bit, m->party, bit_form(form), n->low, n->beta + form.count, error));
        job = &n->bit.job;
    } else {
        TRY(pair_powers_init(&n->powers, m->party, powers_form(form), n->low, n->beta, error));
    }
    pair_note_add(&n->note, job);
    TRY_THAT(job->cost.exchanges <= (uint64_t)form.h, error, BASE_ERR_SUPPORT, "a gate of 2^%d cells between two parties: its payload takes %d exchanges; use "
             "2^%d cells or more", form.h, (int)job->cost.exchanges, (int)job->cost.exchanges);
out:
    return status;
}

enum base_status pair_note_points(struct pair_maker *m, struct mpc_point_form form, const uint64_t *index, const uint64_t *low,
                                  const uint64_t *times, struct pair_note **ret, struct base_error *error)
{
    enum base_status status;
    size_t count = form.count, words = (size_t)mpc_point_words(form.payload);
    struct points_note *n = NULL;
    TRY(base_alloc(&n, 1, sizeof *n, error));
    n->note.emit = emit_points;
    n->note.finish = finish_points;
    TRY(base_alloc(&n->index, count, sizeof *n->index, error));
    TRY(base_alloc(&n->low, 2 * count, sizeof *n->low, error));
    TRY(base_alloc(&n->beta, words * count, sizeof *n->beta, error));
    memcpy(n->index, index, count * sizeof *index);
    if (low != NULL)
        memcpy(n->low, low, count * sizeof *low);
    if (times != NULL)
        memcpy(n->low + count, times, count * sizeof *times);
    TRY(add_payload(m, n, form, error));
    TRY(pair_point_init(&n->point, m->party, point_form(form), n->index, n->beta, &n->keys, error));
    pair_note_add(&n->note, &n->point.job);
    *ret = &n->note;
    n = NULL;
out:
    if (n != NULL)
        finish_points(&n->note);
    return status;
}

/* --- turned patterns ----------------------------------------------------------------------------------------------------------------- */

struct turned_note {
    struct pair_note note;
    struct mpc_turned_form form;
    struct pair_table job;
    uint64_t *index, *table, *share; /* [count]; [count][2^h] each */
};

static struct pair_table_form table_form(struct mpc_turned_form form)
{
    return (struct pair_table_form){.owner = 2, .count = form.count, .h = form.h, .ring = 1};
}

struct pair_cost pair_note_turned_cost(struct mpc_turned_form form)
{
    return pair_table_cost(table_form(form));
}

static void finish_turned(struct pair_note *note)
{
    struct turned_note *n = (struct turned_note *)note;
    pair_note_finish_jobs(note);
    base_free_secret(&n->index);
    base_free_secret(&n->table);
    base_free_secret(&n->share);
    base_free(&n);
}

/* Shares mod 2 are XOR shares: the bits of one table make one word. */
static enum base_status emit_turned(struct pair_maker *m, struct pair_note *note, struct base_error *error)
{
    struct turned_note *n = (struct turned_note *)note;
    size_t all = (size_t)1 << n->form.h;
    for (size_t i = 0; i < n->form.count; i++) {
        uint64_t word = 0;
        for (size_t c = 0; c < all; c++)
            word |= (n->share[i * all + c] & 1) << c;
        n->index[i] = word;
    }
    return pair_emit_words(m, n->index, n->form.count, (int)all, error);
}

enum base_status pair_note_turned(struct pair_maker *m, struct mpc_turned_form form, const uint64_t *by, struct pair_note **ret,
                                  struct base_error *error)
{
    enum base_status status;
    size_t all = (size_t)1 << form.h;
    uint64_t scratch[64];
    struct turned_note *n = NULL;
    TRY(base_alloc(&n, 1, sizeof *n, error));
    n->note.emit = emit_turned;
    n->note.finish = finish_turned;
    n->form = form;
    TRY_THAT(form.h >= 1 && all <= sizeof scratch / sizeof *scratch, error, BASE_ERR_INTERNAL, "a pattern of 2^%d bits", form.h);
    TRY(base_alloc(&n->index, form.count, sizeof *n->index, error));
    TRY(base_alloc(&n->table, form.count * all, sizeof *n->table, error));
    TRY(base_alloc(&n->share, form.count * all, sizeof *n->share, error));
    memcpy(n->index, by, form.count * sizeof *by);
    for (size_t i = 0; m->party->id == 2 && i < form.count; i++) {
        for (size_t c = 0; c < all; c++)
            n->table[i * all + c] = form.pattern >> c & 1;
        pair_table_turn(n->table + i * all, form.h, by[i], scratch);
    }
    TRY(pair_table_init(&n->job, m->party, table_form(form), n->index, n->table, n->share, error));
    pair_note_add(&n->note, &n->job.job);
    *ret = &n->note;
    n = NULL;
out:
    base_wipe(scratch, sizeof scratch);
    if (n != NULL)
        finish_turned(&n->note);
    return status;
}
