/* Mode two-party: a client has P1 and P2 make the material of texts that will come, and keep it (pair/spool.h). */
#ifndef CACHET_PARTIES_PREPARE_H
#define CACHET_PARTIES_PREPARE_H

#include "parties/client.h"

struct prepare_form {
    uint64_t prompt_tokens, tokens; /* of each text */
    uint64_t texts;
};
struct prepared {
    uint64_t complete; /* texts that are kept, also after a failure */
    uint64_t bytes;    /* that P1 and P2 have sent each other for it */
    double seconds;
    struct eng_usage usage[3]; /* of P1 and P2, prompts and tokens apart; bytes as each has counted what it sent */
    bool stopped; /* the program was asked to stop: it has ended in order, between two steps */
};

/* Over a client that is connected; it shows a bar on a terminal. Nobody's links are left in the middle of a step, whatever asks the program to stop.
 * Errors: BASE_ERR_SUPPORT (another mode), BASE_ERR_ARGUMENT (sizes that the config does not allow), those of the links, and what a party refuses with. */
BASE_MUST_USE enum base_status prepare_texts(struct client *client, const struct prepare_form *form, struct prepared *ret, struct base_error *error);
/* The checks of it that need no connection. */
BASE_MUST_USE enum base_status prepare_check(const struct party_config *config, const char *path, const struct prepare_form *form, struct base_error *error);

#endif
