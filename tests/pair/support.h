/* Two parties of a pair as two threads over a link, with fixed seeds. Include after cmocka's headers. */
#ifndef CACHET_TESTS_PAIR_SUPPORT_H
#define CACHET_TESTS_PAIR_SUPPORT_H

#include "base/memory.h"
#include "base/random.h"
#include "net/memory_link.h"
#include "pair/cot.h"
#include "pair/party.h"
#include "tests/support/failures.h"

#include <pthread.h>
#include <string.h>

/* A party's work; the id tells which half of the context is its own. */
typedef enum base_status (*pair_program)(struct pair_party *p, void *context, struct base_error *error);

struct pair_run_options {
    int k;                    /* 0: no COTs are started */
    unsigned kern_mask;       /* of kern_table_select; 0: all levels */
    const struct kern_table *kern[3]; /* by party; NULL: by the mask */
    uint64_t seed;            /* of both generators and, unless given, of the session */
    uint64_t session;
    bool hello;               /* the session comes from net_hello */
    struct net_link *link[3]; /* by party; NULL: a memory link. Destroyed after the run */
};

/* What a run showed. Arrays by party. */
struct pair_ran {
    enum base_status status[3];
    struct base_error error[3];
    struct pair_cost declared[3];
    uint64_t bytes[3], exchanges[3];
    uint64_t frames; /* digest of step and size of every frame that party 1 saw, in order by direction */
};

void pair_run_both(struct pair_run_options options, pair_program program, void *context, struct pair_ran *ret);
/* The same where nothing may fail, and what was counted is what was declared. */
void pair_run_well(struct pair_run_options options, pair_program program, void *context, struct pair_ran *ret);

static inline void *pair_test_alloc(size_t count, size_t size)
{
    void *memory = NULL;
    struct base_error error = {0};
    check_ok(base_alloc(&memory, count + 1, size, &error), &error);
    return memory;
}

/* Random words of `ring` bits; the first ones are extreme: 0, 1, all ones, the top bit. */
uint64_t *pair_test_words(uint64_t seed, size_t count, int ring);

#endif
