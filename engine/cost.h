/* What a request will cost, without running it: the decoder graph in the count role, which adds up what every
 * operation declares. Exact, and equal to what links count. */
#ifndef CACHET_ENGINE_COST_H
#define CACHET_ENGINE_COST_H

#include "engine/decoder.h"

/* What the client and the parties say to each other. */
struct eng_client_cost {
    uint64_t turns;          /* of the client's words and their answers */
    uint64_t sent, received; /* bytes, of all parties together: orders, rows of tokens, logits, squares, guard, reports */
};

struct eng_cost {
    struct mpc_cost prefill; /* of the whole prompt; logits of its last row */
    struct mpc_cost decode;  /* of `steps` tokens after it, logits included */
    struct mpc_cost layers;  /* the decoder layers' part of decode */
    struct mpc_cost prefill_by_class[ENG_CLASSES], by_class[ENG_CLASSES]; /* prefill and decode, split */
    size_t steps;            /* decoded; by default those after which the cost of a token repeats (eng_decoder_period): 1 for most policies */
    size_t chunk;            /* rows of one prefill step */
    struct eng_client_cost prefill_client, client; /* of the prompt, and of the decoded tokens */
    /* Of the prompt and of the decoded tokens, what is more than their rows without a cache: attention to other rows, and the policy. */
    struct mpc_cost cached_prefill, cached;
    uint64_t opened[MPC_MAX_OPENINGS]; /* values that the graph opens, prompt and decoded tokens, by entry of the registry */
};

/* Where form.maker is set (two parties without P0), offline are the bytes that both send to make it; they belong to no class.
 * prompt rows are in the cache when the first counted token is decoded; form.context >= prompt + steps. form.weights and
 * form.gates may be NULL. Errors: those of the plan's and gates' conditions. */
BASE_MUST_USE enum base_status eng_cost_count(struct eng_cost *ret, const struct eng_decoder_form *form,
                                              size_t prompt, struct base_progress *progress,
                                              struct base_error *error);

/* The same for exactly `steps` tokens after the prompt; 0: as many as repeat. */
BASE_MUST_USE enum base_status eng_cost_count_steps(struct eng_cost *ret, const struct eng_decoder_form *form, size_t prompt, size_t steps,
                                                    struct base_progress *progress, struct base_error *error);

/* Bytes of a decode step for one more cached token in one head, and for one more element of the MLP (from the
 * residual to what W_down reads), averaged over the layers. */
struct eng_cost_margins {
    double head_online, head_offline;
    double element_online, element_offline;
};
/* form.context >= ENG_COST_MARGIN_CONTEXT. Errors: as above. */
enum { ENG_COST_MARGIN_CONTEXT = 17 };
BASE_MUST_USE enum base_status
eng_cost_margins(struct eng_cost_margins *ret, const struct eng_decoder_form *form, struct base_error *error);

#endif
