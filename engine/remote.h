/* The client's side of a request: shares tokens, puts opened values together. */
#ifndef CACHET_ENGINE_REMOTE_H
#define CACHET_ENGINE_REMOTE_H

#include "engine/backend.h"
#include "mpc/opening.h"

struct eng_remote_slot {
    bool open; /* as planned */
    bool busy; /* planned to be open, or not yet closed: it cannot be opened again */
    uint32_t prompt_tokens, new_tokens, fed, planned; /* tokens given; and those that steps are planned for */
};
struct eng_remote {
    struct mpc_client client;
    const struct eng_model_shape *shape;
    const struct eng_plan *plan;
    struct eng_request request;
    struct eng_remote_slot slot[ENG_SLOTS];
    struct eng_order planned[ENG_AHEAD]; /* orders that P0 has, and P1 and P2 have not */
    size_t planned_count;
    uint32_t ordered, given; /* orders to P0, and to P1 and P2 */
    uint32_t dealt_steps, steps; /* that P0 has reported, and that P1 and P2 have done */
    /* Two parties without P0: a slot has opened, and its words have not come; from where its material comes, and how many texts of its form wait after it. */
    bool word_due;
    enum eng_text_source text_source;
    uint32_t texts_left;
    bool is_void; /* a guard has reported a value */
    bool ended;   /* the parties have sent their reports and serve others */
    int64_t *hot; /* [chunk][vocab] */
};

/* What the client runs with; all borrowed. */
struct eng_remote_form {
    const struct eng_model_shape *shape;
    const struct eng_plan *plan;
    struct net_link *link[3]; /* to P0, P1, P2; the first one NULL: two parties without P0 */
    const struct kern_table *kern;
};

/* Sends the request to the parties. A step of one that prepares takes no tokens and answers nothing. nonce and keys are drawn unless `keep` says that
 * request holds them (runs to be repeated). */
BASE_MUST_USE enum base_status eng_remote_begin(struct eng_remote *ret, const struct eng_remote_form *form,
                                                const struct eng_request *request, bool keep,
                                                struct base_error *error);
/* Bytes that the client has sent to all parties while it fed its prompt (NET_PHASE_PREFILL) or tokens after it (NET_PHASE_DECODE). */
uint64_t eng_remote_sent(const struct eng_remote *remote, enum net_phase phase);
/* The same to one party, all of the run. */
uint64_t eng_remote_sent_to(const struct eng_remote *remote, int party);
struct eng_backend eng_remote_backend(struct eng_remote *remote);
/* Tells the parties that the run is over, also in the middle of a step, and collects their reports by party. A step of eng_remote_backend that
 * found the answer void has done that. */
BASE_MUST_USE enum base_status eng_remote_end(struct eng_remote *remote, struct eng_usage ret_usage[3],
                                              struct base_error *error);
void eng_remote_finish(struct eng_remote *remote);

/* --- several requests in one run: slot 0 is open from the start ---------------------------------------- */

/* Room for another planned order. */
bool eng_remote_has_room(const struct eng_remote *remote);
/* Adds an order to the plan and sends it to P0, which begins to deal for it. Every planned order is carried out (eng_remote_run) before
 * those after it; an end drops the rest. */
BASE_MUST_USE enum base_status eng_remote_plan(struct eng_remote *remote, const struct eng_order *order, struct base_error *error);
/* Rows that the next step of these slots takes, and rows of logits that it answers. */
void eng_remote_step_size(const struct eng_remote *remote, uint32_t slots, size_t *ret_rows, size_t *ret_answers);

/* What came of one step. */
struct eng_remote_step {
    struct eng_answer *answer;        /* where the answers go */
    struct eng_step_report report[3]; /* P1's and P2's; P0's is the sum of all that it has dealt since the last step */
    bool is_void;
};
/* Whoever waits for a step. wanted: asked every few milliseconds; false leaves the step, and nothing but eng_remote_end may follow. layer: told
 * after each layer of a step that reads a prompt. */
struct eng_remote_watch {
    bool (*wanted)(void *context);
    void (*layer)(void *context, size_t layer);
    /* From where the material of a text comes, at its first step; NULL: nobody wants to know. Two parties without P0. */
    void (*source)(void *context, enum eng_text_source source, uint32_t left);
    void *context;
};
/* Carries out the first planned order. A step takes its rows' tokens: of the prompt, or one for each slot from the lowest on. watch may be NULL.
 * Errors: BASE_ERR_CLOSED (left), those of links. */
BASE_MUST_USE enum base_status eng_remote_run(struct eng_remote *remote, const int32_t *tokens, const struct eng_remote_watch *watch,
                                              struct eng_remote_step *ret, struct base_error *error);

#endif
