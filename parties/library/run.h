/* One run of requests, for the files that make it: planning (schedule.c) and what comes of a step (answers.c). */
#ifndef CACHET_PARTIES_LIBRARY_RUN_H
#define CACHET_PARTIES_LIBRARY_RUN_H

#include "parties/library/library.h"

struct run {
    struct cachet *c;
    bool inside;
    struct cachet_job *step_job; /* whose prompt the step under way reads; NULL: none */
    size_t step_rows;
};

static inline struct cachet_job *library_at(const struct run *run, size_t slot)
{
    return run->c->running[slot];
}

static inline const struct eng_remote_slot *library_slot(const struct run *run, size_t slot)
{
    return &run->c->remote.slot[slot];
}

/* It wants no more. Its owner hears of it when the step is over, or the run, if it was the last one. */
void library_finish(struct run *run, struct cachet_job *job, enum cachet_finish how, const struct base_error *error);
/* The jobs that have ended are their owners' again, who may free them: nobody may touch them after this. */
void library_hand_back(struct cachet *c);
void library_tell_progress(const struct run *run, struct cachet_job *job, size_t layer);
/* What a step of these slots gave, `answers` rows of logits. prompt: it read one. No party learns that an answer is void: its prompt is read to the
 * end. */
void library_take_answers(struct run *run, const struct eng_order *order, const struct eng_remote_step *step, size_t answers, bool prompt);

#endif
