/* One operator on three threads over memory links: what it sends, its rounds and its time. The inputs are
 * numbers made up that every role knows, under masks that are known too; what the operator itself opens and
 * deals is masked as in a deployment. */
#ifndef CACHET_BENCH_OPERATORS_H
#define CACHET_BENCH_OPERATORS_H

#include "mpc/party.h"

enum { BENCH_PARTIES = 3 };

struct bench_operator;
/* Runs at one role with all its rounds, as often as it is called; *ret: the result. */
typedef enum base_status (*bench_operator_fn)(struct mpc_party *p, const struct bench_operator *what,
                                              void *state, struct mpc_wire *ret);
/* A role's own state, made before the clock starts: caches, inputs. */
typedef enum base_status (*bench_prepare_fn)(struct mpc_party *p, const struct bench_operator *what,
                                             void **ret_state, struct base_error *error);
typedef void (*bench_release_fn)(void **state);
/* Judges the result [count]. Errors: BASE_ERR_MISMATCH. */
typedef enum base_status (*bench_check_fn)(const struct bench_operator *what, const int64_t *result,
                                           size_t count, int frac, struct base_error *error);

struct bench_operator {
    const char *name;
    const char *what; /* for people: sizes and what it takes part in */
    bench_prepare_fn prepare;
    bench_operator_fn run;
    bench_release_fn release;
    bench_check_fn check;
    const void *setting; /* of the program; the same for all of its operators */
    size_t rows;         /* cached rows, clusters: the operator's size */
    size_t steps;        /* decode steps of one run, over which figures are spread; 0: one */
    bool whole;          /* all that a step of attention takes: comparable with the others of this kind */
};

struct bench_measure {
    struct mpc_cost cost; /* payload as the links counted it, which is what every role declared */
    uint64_t wire_bytes;  /* with frame headers, all links */
    /* Seconds until P1 and P2 are done: P0 deals beside them, or has dealt everything before. */
    double beside, ahead;
};

/* Runs the operator `repeats` times each way, and once before, which is not looked at; times are medians.
 * Errors: the first failure of any role; BASE_ERR_MISMATCH where declared and counted bytes differ, where the
 * last result is wrong, where a guard was raised, or where P0 received something; BASE_ERR_ARGUMENT unless 1
 * to 64 repeats. */
BASE_MUST_USE enum base_status bench_operator_measure(const struct bench_operator *what, size_t repeats,
                                                      struct bench_measure *ret, struct base_error *error);

/* A wire of numbers that all roles know, under known masks: 0 bytes. x [count]; P0 does not read it. */
struct mpc_wire bench_known_wire(struct mpc_party *p, const int64_t *x, size_t count, int ring, int frac,
                                 int bound);

#endif
