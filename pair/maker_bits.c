/* Notes of masked bits: products of them, and what they choose. */
#include "base/memory.h"
#include "pair/bits.h"
#include "pair/choose.h"
#include "pair/notes.h"

struct bits_note {
    struct pair_note note;
    struct mpc_bits_form form;
    struct pair_bits bits;
    uint64_t *share; /* [count] */
};

static struct pair_bits_form bits_form(struct mpc_bits_form form)
{
    return (struct pair_bits_form){.count = form.count, .bits = form.bits, .ring = form.ring};
}

struct pair_cost pair_note_bits_cost(struct mpc_bits_form form)
{
    return pair_bits_cost(bits_form(form));
}

static void finish_bits(struct pair_note *note)
{
    struct bits_note *n = (struct bits_note *)note;
    pair_note_finish_jobs(note);
    base_free_secret(&n->share);
    base_free(&n);
}

static enum base_status emit_bits(struct pair_maker *m, struct pair_note *note, struct base_error *error)
{
    struct bits_note *n = (struct bits_note *)note;
    return pair_emit_words(m, n->share, n->form.count, n->form.ring, error);
}

enum base_status pair_note_bits(struct pair_maker *m, struct mpc_bits_form form, const uint64_t *own, struct pair_note **ret, struct base_error *error)
{
    enum base_status status;
    struct bits_note *n = NULL;
    TRY(base_alloc(&n, 1, sizeof *n, error));
    n->note.emit = emit_bits;
    n->note.finish = finish_bits;
    n->form = form;
    TRY(base_alloc(&n->share, form.count, sizeof *n->share, error));
    TRY(pair_bits_init(&n->bits, m->party, bits_form(form), own, n->share, error));
    pair_note_add(&n->note, &n->bits.job);
    *ret = &n->note;
    n = NULL;
out:
    if (n != NULL)
        finish_bits(&n->note);
    return status;
}

/* --- what they choose ------------------------------------------------------------------------------------------------------------------- */

struct chosen_note {
    struct pair_note note;
    struct pair_choose choose;
    uint64_t *wraps, *rest; /* [8][count], [2][count] */
};

struct pair_cost pair_note_chosen_cost(struct mpc_chosen_form form)
{
    return pair_choose_cost(form);
}

static void finish_chosen(struct pair_note *note)
{
    struct chosen_note *n = (struct chosen_note *)note;
    pair_note_finish_jobs(note);
    base_free_secret(&n->wraps);
    base_free_secret(&n->rest);
    base_free(&n);
}

static enum base_status emit_chosen(struct pair_maker *m, struct pair_note *note, struct base_error *error)
{
    struct chosen_note *n = (struct chosen_note *)note;
    struct mpc_chosen_form form = n->choose.form;
    enum base_status status = pair_emit_words(m, n->wraps, 2 * MPC_WRAPS_READINGS * form.count, form.ring - form.k, error);
    return status == BASE_OK ? pair_emit_words(m, n->rest, 2 * form.count, form.ring, error) : status;
}

enum base_status pair_note_chosen(struct pair_maker *m, struct mpc_chosen_form form, const uint64_t *rho, const uint64_t *l, struct pair_note **ret,
                                  struct base_error *error)
{
    enum base_status status;
    struct chosen_note *n = NULL;
    TRY(base_alloc(&n, 1, sizeof *n, error));
    n->note.emit = emit_chosen;
    n->note.finish = finish_chosen;
    TRY(base_alloc(&n->wraps, 2 * MPC_WRAPS_READINGS * form.count, sizeof *n->wraps, error));
    TRY(base_alloc(&n->rest, 2 * form.count, sizeof *n->rest, error));
    TRY(pair_choose_init(&n->choose, m->party, form, rho, l, n->wraps, n->rest, error));
    pair_note_add(&n->note, &n->choose.job);
    *ret = &n->note;
    n = NULL;
out:
    if (n != NULL)
        finish_chosen(&n->note);
    return status;
}
