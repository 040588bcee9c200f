/* The cache policy that flags or a config name. */
#ifndef CACHET_PARTIES_POLICY_FLAGS_H
#define CACHET_PARTIES_POLICY_FLAGS_H

#include "kvcache/policy.h"
#include "parties/options.h"

struct policy_flags {
    const char *policy;             /* NAME[:KEY=VALUE ...] (kvcache/config.h) */
    uint64_t budget, sinks, window; /* 0: as the policy says */
};
#define POLICY_FLAGS_STANDARD                                                                                \
    {                                                                                                        \
        .policy = "full"                                                                                     \
    }

/* clang-format off */
#define OPTIONS_POLICY(flags) \
    {.name = "policy", .value = "NAME", .help = "cache policy, NAME or NAME:KEY=VALUE:... (default full; see kvcache/README.md)", .target = &(flags)->policy}, \
    {.name = "budget", .value = "PERCENT", .help = "of the prompt's rows that the policy keeps or attends to", .kind = OPTION_COUNT, .target = &(flags)->budget, .low = 1, .high = 100}, \
    {.name = "sinks", .value = "N", .help = "first rows that the policy always keeps", .kind = OPTION_COUNT, .target = &(flags)->sinks, .high = 1 << 20}, \
    {.name = "window", .value = "N", .help = "last rows that the policy always keeps", .kind = OPTION_COUNT, .target = &(flags)->window, .high = 1 << 20}
/* clang-format on */

/* Errors: those of kv_config_parse; BASE_ERR_ARGUMENT for a flag that the policy does not take. */
BASE_MUST_USE enum base_status policy_flags_read(const struct policy_flags *flags,
                                                 const struct kv_policy **ret_policy, struct kv_config *ret,
                                                 struct base_error *error);

#endif
