/* Who lies in tests of lies: what it says instead of its messages. A program links with --wrap of every function that is wrapped here, so that the text of
 * the product is the real one and a lie sits where a message is due. One run at a time. */
#ifndef CACHET_TESTS_ENGINE_LIAR_SUPPORT_H
#define CACHET_TESTS_ENGINE_LIAR_SUPPORT_H

#include "tests/engine/decoder/model_support.h"

#ifdef __SANITIZE_THREAD__
enum { LIAR_SLOW = 5 };
#else
enum { LIAR_SLOW = 1 };
#endif
/* LIAR_DEADLINE_MS: of every wait, long for an honest peer under a sanitizer; LIAR_LIFE_SECONDS: of a run with a lie, after which it hangs. */
enum { LIAR_DEADLINE_MS = 12000 * LIAR_SLOW, LIAR_LIFE_SECONDS = 300 * LIAR_SLOW, LIAR_CLIENT = 3, LIAR_ROLES = 4 };

enum lie {
    LIE_BIT,      /* one bit turned */
    LIE_NOISE,    /* all of it random */
    LIE_RUN,      /* a run of random bytes */
    LIE_ZEROS,
    LIE_ONES,
    LIE_NUMBER,   /* one aligned word becomes a number at an edge */
    LIE_REPLAY,   /* what this role said last in a message of another kind or round */
    LIE_CONTENTS, /* the number of those that keep a message's form */
    LIE_SHORT = LIE_CONTENTS, /* fewer bytes */
    LIE_LONG,     /* more bytes */
    LIE_STEP,     /* another step's number */
    LIE_TWICE,
    LIE_SILENCE,  /* it is not sent */
    LIES_COUNT,
};

/* Of one run. Only the thread of `role` reads and writes it between its beginning and its end. */
struct liar {
    int role; /* -1: nobody lies */
    enum lie lie;
    size_t from, count; /* messages that are lies, by their number in the run */
    size_t said;
    uint64_t random; /* its seed */
    uint8_t *last;
    size_t last_size, last_capacity;
};
extern struct liar liar;

extern size_t liar_said_by[LIAR_ROLES]; /* messages of an honest run */
/* Parties have it from their sessions; a client sets it, and -1 when it is done. */
extern _Thread_local int liar_own_role;

size_t liar_below(size_t n);
/* The lie of the next run and where it is told, among as many messages as an honest run had. */
void liar_choose(int role);
/* What a failure may be called; its text says whose fault it was. */
void liar_judge(enum base_status status, const struct base_error *error, const char *who);
void liar_finish(void);

/* [LIES [SEED]] of a program; what is not given stays as it is. */
void liar_arguments(int count, char **words, size_t *lies, uint64_t *seed);

#endif
