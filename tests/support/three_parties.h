/* The three roles as threads over memory links, the client beside them, and the plaintext twin after them.
 *
 * Every completed wire of P0, P1 and P2 is copied in order. The twin then runs TEACHER-FORCED: its wire i is compared
 * with the value reconstructed from the parties' wire i and overwritten with it, so that each operation is judged alone, on
 * equal inputs, against the error that it declares. Costs are checked on every role against what the links counted. */
#ifndef CACHET_TESTS_SUPPORT_THREE_PARTIES_H
#define CACHET_TESTS_SUPPORT_THREE_PARTIES_H

#include "mpc/opening.h"
#include "mpc/party.h"
#include "tests/support/tap.h"

enum { TRIO_P0, TRIO_P1, TRIO_P2, TRIO_TWIN, TRIO_ROLES, TRIO_PARTIES = 3, TRIO_OUTPUTS = 8 };

/* Ends of links in the order of a transcript. */
enum { TRIO_END_P0_TO_P1, TRIO_END_P0_TO_P2, TRIO_END_P1_SOURCE, TRIO_END_P2_SOURCE, TRIO_END_P1_PEER, TRIO_END_P2_PEER,
       TRIO_END_P1_CLIENT, TRIO_END_P2_CLIENT, TRIO_END_CLIENT_P1, TRIO_END_CLIENT_P2, TRIO_ENDS };

struct trio_input {
    const int64_t *x;
    size_t count;
    int ring, frac, bound;
};

struct trio_job;
/* The graph, run once per role. Inputs are read with trio_input, results kept with trio_output. */
typedef enum base_status (*trio_program_fn)(struct mpc_party *p, const struct trio_job *job);
/* What the client does after it has given the inputs. */
typedef enum base_status (*trio_client_fn)(struct mpc_client *client, const struct trio_job *job, struct base_error *error);

struct trio;
/* Who stands for P0 where there is none (two_parties.h): makes what P1 and P2 take before any input exists, and fills P0's place in *trio with both
 * mask halves of every wire. */
struct trio_ahead {
    enum base_status (*run)(struct trio *trio, struct base_error *error);
    /* Of the twin (0), or of the count role (1). */
    const struct mpc_maker *(*maker)(struct trio *trio, int counts);
    void (*finish)(struct trio *trio);
};

struct trio_job {
    trio_program_fn program;
    trio_client_fn client;
    const void *context;
    const struct trio_input *inputs;
    size_t input_count;
    uint64_t seed;                 /* the five pairwise keys follow from it */
    bool beside;                   /* P0 runs beside the others; else first, to its end, before the inputs exist */
    bool free_twin;                /* the twin runs on its own values and judges nothing */
    bool no_twin;
    size_t arena_size;             /* 0: 1 GiB of address space */
    mpc_split_fn split;            /* of every party: where dealt fields are divided; NULL: as the product does */
    const struct trio_ahead *ahead; /* NULL: P0 deals */
    enum { TRIO_CHEAPER, TRIO_GILBOA, TRIO_ENCRYPTED } linear; /* `ahead`: how it makes products */
    uint64_t batch;                /* `ahead`: weight of a batch; 0: as the product does */
    struct tap *tap;               /* sees received fields and may prescribe draws; NULL: none */
    const struct kern_table *kern; /* NULL: the tap's, or the best */
    int only;                      /* 1 + the role that `kern` is for, others have the best; 0: it is everybody's */
};

struct trio_seen {
    const char *label;
    struct mpc_wire wire;
    double ulp;
};

struct trio_record {
    struct trio_seen *seen;
    size_t count, capacity;
};

struct trio_frame {
    uint32_t step;
    size_t size;
};

struct trio_frames {
    struct trio_frame *frame;
    size_t count, capacity;
};

struct trio {
    const struct trio_job *job;
    struct mpc_party party[TRIO_ROLES];
    struct mpc_client client;
    struct mpc_wire output[TRIO_ROLES][TRIO_OUTPUTS]; /* live until trio_finish */
    size_t outputs[TRIO_ROLES];
    struct trio_record record[TRIO_PARTIES];
    struct trio_frames sent[TRIO_ENDS], received[TRIO_ENDS];
    struct mpc_cost measured[2];   /* as P1 and as P2 counted rounds; bytes are the links' */
    struct mpc_cost counted;       /* declared by the count role */
    const struct trio_ahead *ahead;
    enum mpc_role held;            /* of a party ahead of time: its online role */
    void *pair;                    /* of `ahead` */
    uint64_t made;                 /* bytes that its link counted */
    size_t judged;
    double worst;                  /* largest |difference| / allowed seen by the teacher-forced twin */
    struct base_error judgement;   /* the first difference that was too large */
};

/* Runs a job. *ret must be zeroed and is to be finished whatever the answer.
 * Errors: the first failure of any role, named. */
BASE_MUST_USE enum base_status trio_run(const struct trio_job *job, struct trio *ret, struct base_error *error);
void trio_finish(struct trio *trio);

/* The twin's judgement, range violations, and declared = measured on every role. */
BASE_MUST_USE enum base_status trio_check(const struct trio *trio, struct base_error *error);
/* Order, step, direction and size of every frame of every link are equal. */
BASE_MUST_USE enum base_status trio_same_transcript(const struct trio *a, const struct trio *b, struct base_error *error);

/* For programs. */
struct mpc_wire trio_input(struct mpc_party *p, const struct trio_job *job, size_t which);
void trio_output(struct mpc_party *p, struct mpc_wire wire);
/* Whose weights this role reads. */
enum mpc_role trio_weights_role(const struct mpc_party *p);

/* Output `which` put together from all three parties, after checking that they agree on what they share. */
BASE_MUST_USE enum base_status trio_value(const struct trio *trio, size_t which, int64_t *ret_values, struct base_error *error);

/* For `ahead`: one completed wire more, copied; the stream that a job's seed gives; whether a party's work went well. */
void trio_keep_wire(struct trio_record *record, const char *label, const struct mpc_wire *wire, double ulp);
void trio_start_stream(struct mpc_stream *ret, const struct kern_table *kern, uint64_t seed, int stream);

/* splitmix64: repeatable random words of tests. */
uint64_t trio_random(uint64_t *state);

#endif
