/* duo: heads whose output a window would change most see everything, the others sinks and a window, in the
 * prompt and in the answer.
 *
 * The original trains a gate per head; here heads are ranked by what a probe measured, how much their outputs
 * change on calibration text (kvcache/profile.h). Prompt rows of streaming heads see sinks and window, too,
 * and layers whose heads all stream hold no other rows. Source: DuoAttention, arXiv 2410.10819: half of the
 * heads full where KV heads are shared, a quarter where they are not; sinks and window (64 and 256 at 32 000
 * rows) scaled down. */
#include "kvcache/streaming.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    enum { FULL_SHARED = 50, FULL_ALONE = 25, WINDOW = 124 };
    enum base_status status = BASE_OK;
    size_t full;
    struct kv_streaming_standard standard = {.name = "duo",
                                             .full = ret->dims.heads == ret->dims.kv_heads ? FULL_ALONE
                                                                                           : FULL_SHARED,
                                             .window = WINDOW};
    TRY(kv_stream_all(ret, config, &standard, true, &full, error));
    kv_stream_except(ret, KV_HEAD_DEVIATION, full);
out:
    return status;
}

static const struct kv_option options[] = {{KV_BUDGET, 0}, {KV_FULL, 0}, {KV_SINKS, 4}, {KV_WINDOW, 0}};

const struct kv_policy kv_policy_duo = {
    .name = "duo",
    .summary = "heads that lose most by a window see everything, the others sinks and a window",
    .source = "DuoAttention, arXiv 2410.10819",
    .leakage = KV_LEAKAGE_OF_PROFILE,
    .reads_profile = true,
    KV_OPTIONS(options),
    .plan = plan};
