/* A whole deployment on this machine: a model's shares, fresh keys, three parties as child processes over TCP with CURVE, and a client of
 * this process. For trying (`cachet up`) and for benchmarks; everything is removed at its end. */
#ifndef CACHET_PARTIES_DEPLOYMENT_H
#define CACHET_PARTIES_DEPLOYMENT_H

#include "parties/children.h"
#include "parties/client.h"
#include "parties/model.h"

struct deployment_form {
    const struct model *model;
    const struct eng_plan *plan;
    const struct kv_policy *policy;
    struct kv_config policy_config;
    enum config_mode mode;
    struct config_limits limits;
    const char *directory; /* a new one, which stays; NULL: a temporary one */
    const char *shares;    /* a share set of this model and plan, borrowed, with its id in `set`; NULL: made here */
    const char *set;
    const char *bind; /* address that parties listen on where it is not the config's: a relay lies between them. NULL: none does */
    bool spool;        /* mode two-party: parties have folders for material made ahead of use, beside their keys */
    bool quiet;        /* does not say what memory it needs */
    const char *const *party_flags; /* of `cachet party`, NULL after the last; NULL: none */
};

struct deployment {
    struct deployment_form form;
    char directory[4096], set[4096], set_id[ENG_SET_ID];
    bool made;
    struct party_config config;
    struct children children;
    struct client client;
};

/* A line on stderr. */
__attribute__((format(printf, 1, 2))) void deployment_say(const char *format, ...);

/* Masks the weights into the new directory `out`; shows progress on a terminal and says one line on stderr. */
BASE_MUST_USE enum base_status deployment_share(const char *out, const struct model *model, const struct eng_plan *plan,
                                                char ret_set[ENG_SET_ID], struct base_error *error);
/* Directory, shares, keys and config. All of the form stays borrowed. The deployment must stay where it is while it lives. */
BASE_MUST_USE enum base_status deployment_init(struct deployment *ret, const struct deployment_form *form, struct base_error *error);
/* Starts the three parties. */
BASE_MUST_USE enum base_status deployment_start(struct deployment *d, struct base_error *error);
/* What a client of it opens. */
struct deployment_files {
    char config[4096], key[4096], shares[4096];
};
BASE_MUST_USE enum base_status deployment_client_files(const struct deployment *d, struct deployment_files *ret, struct base_error *error);
/* Connects this process as their client. */
BASE_MUST_USE enum base_status deployment_connect(struct deployment *d, struct base_error *error);
/* One request; the link to the parties stays for none: connect again for the next one. A party that ended is named as the cause. */
BASE_MUST_USE enum base_status deployment_generate(struct deployment *d, const struct generation_context *context,
                                                   const struct eng_tokens *prompt, struct generation_run *ret, struct base_error *error);
/* Ends client and parties; their logs stay readable until deployment_finish. */
void deployment_stop(struct deployment *d);
/* Copies the parties' logs to stderr. */
void deployment_show_logs(const struct deployment *d);
/* Stops, and removes all but a directory that was given. Accepts a zeroed deployment. */
void deployment_finish(struct deployment *d);

/* Deadlines and queues of deployments that somebody waits for. */
struct config_limits deployment_limits(size_t context);

/* Says what the three parties need together and refuses what this machine cannot hold, before any weight is read: typical widths stand
 * for those of the plan. Of the form: model, policy and limits.context. prompt: tokens before the first new one. Errors: BASE_ERR_MEMORY
 * with both figures, and those of the policy. */
BASE_MUST_USE enum base_status deployment_check_memory(const struct deployment_form *form, size_t prompt, struct base_error *error);

#endif
