/* Notes of a maker, private to pair/: what each kind of job needs until it has run. */
#ifndef CACHET_PAIR_NOTES_H
#define CACHET_PAIR_NOTES_H

#include "pair/maker.h"

enum { PAIR_NOTE_FEW = 2 };

/* The jobs of one note and the record that becomes of them. */
struct pair_note {
    struct pair_note *next;
    size_t jobs;
    struct pair_job **job; /* [jobs]: a list of its own, or `few` */
    struct pair_job *few[PAIR_NOTE_FEW];
    enum base_status (*emit)(struct pair_maker *maker, struct pair_note *note, struct base_error *error);
    void (*finish)(struct pair_note *note); /* wipes and frees the note itself; its jobs are finished by who ran them */
};

/* One of few jobs. */
static inline void pair_note_add(struct pair_note *note, struct pair_job *job)
{
    note->job = note->few;
    note->few[note->jobs++] = job;
}
/* Finishes jobs that have not run, and frees their list. */
void pair_note_finish_jobs(struct pair_note *note);

/* A note, NULL where its maker only counts; what it costs; its memory beyond messages and COTs. */
struct pair_noted {
    struct pair_note *note;
    struct pair_cost cost;
    uint64_t more;
};

/* The record of words [count] of `ring` bits, packed. */
BASE_MUST_USE enum base_status pair_emit_words(struct pair_maker *m, const uint64_t *words, size_t count, int ring, struct base_error *error);

/* A kind's cost and memory, and the note: each function makes one (maker->party is there). */
struct pair_cost pair_note_product_cost(struct mpc_product_form form);
struct pair_cost pair_note_cross_cost(struct mpc_cross_form form);
struct pair_cost pair_note_wraps_cost(struct mpc_wraps_form form);
struct pair_cost pair_note_chosen_cost(struct mpc_chosen_form form);
struct pair_cost pair_note_points_cost(struct mpc_point_form form);
struct pair_cost pair_note_turned_cost(struct mpc_turned_form form);
struct pair_cost pair_note_bits_cost(struct mpc_bits_form form);

BASE_MUST_USE enum base_status pair_note_product(struct pair_maker *m, struct mpc_product_form form, const uint64_t *x, const uint64_t *w,
                                                 struct pair_note **ret, struct base_error *error);
BASE_MUST_USE enum base_status pair_note_cross(struct pair_maker *m, struct mpc_cross_form form, const uint64_t *x, const uint64_t *y,
                                               struct pair_note **ret, struct base_error *error);
BASE_MUST_USE enum base_status pair_note_wraps(struct pair_maker *m, struct mpc_wraps_form form, const uint64_t *l, struct pair_note **ret,
                                               struct base_error *error);
BASE_MUST_USE enum base_status pair_note_chosen(struct pair_maker *m, struct mpc_chosen_form form, const uint64_t *rho, const uint64_t *l,
                                                struct pair_note **ret, struct base_error *error);
BASE_MUST_USE enum base_status pair_note_points(struct pair_maker *m, struct mpc_point_form form, const uint64_t *index, const uint64_t *low,
                                                const uint64_t *times, struct pair_note **ret, struct base_error *error);
BASE_MUST_USE enum base_status pair_note_turned(struct pair_maker *m, struct mpc_turned_form form, const uint64_t *by, struct pair_note **ret,
                                                struct base_error *error);
BASE_MUST_USE enum base_status pair_note_bits(struct pair_maker *m, struct mpc_bits_form form, const uint64_t *own, struct pair_note **ret,
                                              struct base_error *error);

/* By encrypted masks (pair/lasting.h), for either role; not *ret_made: it is cheaper by Gilboa, or the maker is told to. Keys, and weights that are met for
 * the first time, are made and sent at once: maker->once. */
BASE_MUST_USE enum base_status pair_note_matrix(struct pair_maker *m, struct mpc_product_form form, const uint64_t *x, const uint64_t *w, struct pair_noted *ret,
                                                bool *ret_made, struct base_error *error);
BASE_MUST_USE enum base_status pair_note_scalars(struct pair_maker *m, struct mpc_cross_form form, const uint64_t *x, const uint64_t *y, struct pair_noted *ret,
                                                 bool *ret_made, struct base_error *error);

#endif
