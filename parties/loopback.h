/* A deployment whose parties are all on this machine: fresh keys in files, free ports on 127.0.0.1, and the
 * config that names them. */
#ifndef CACHET_PARTIES_LOOPBACK_H
#define CACHET_PARTIES_LOOPBACK_H

#include "engine/plan.h"
#include "parties/config.h"

enum { LOOPBACK_CLIENT = 3, LOOPBACK_ENDS = 4 };

/* "p0", "p1", "p2", "client": the first part of DIRECTORY/NAME.key, and of the end's share directory. */
const char *loopback_end(int end);

struct loopback_form {
    const char *directory;
    const char *model, *set; /* digest and id of the share set, in hex */
    const struct eng_plan *plan;
};

/* Fills in what `config` lacks - its mode, cache and limits are set - and writes it to DIRECTORY/config.yaml,
 * keys beside it. Its one client is called "local". Errors: BASE_ERR_IO (files, no free ports), and those of
 * the config. */
BASE_MUST_USE enum base_status loopback_make(struct party_config *config, const struct loopback_form *form,
                                             struct base_error *error);

#endif
