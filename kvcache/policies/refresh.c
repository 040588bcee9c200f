/* refresh: decode steps attend to the units of rows that got most attention when the set was last refreshed;
 * nothing is evicted.
 *
 * The first set comes from the attention of the last row of the prompt. The last step of a set also attends
 * to probes, means of `probe` rows of keys (0: to every row instead of the set), and their softmax weights
 * choose the next set; a unit is scored with the `before` rows before it, as what a row finds is often what
 * follows. All of it happens in rounds that other work has anyway. Softmax weights add up over the heads of a
 * set, where sums of scores drown the head that looks. Source: TOVA, arXiv 2401.06104, for the newest row's
 * attention; SnapKV, arXiv 2404.14469, for pooling; LServe, arXiv 2502.14866, for one set over several steps;
 * the combination is this project's. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const uint32_t *v = config->value;
    struct kv_selection_plan select;
    TRY_THAT(v[KV_PROBE] > 0 || v[KV_REUSE] > 1, error, BASE_ERR_ARGUMENT,
             "policy refresh: reuse=1 and probe=0 would attend to every row in every step: give probes, or a "
             "larger reuse");
    TRY(kv_selection_of(config, "refresh", ret->dims.prompt, &select, error));
    select.score = KV_SCORE_ATTENTION;
    select.ahead = true;
    select.dense = select.probe == 0;
    if (select.dense)
        for (select.probe = select.unit; select.before % select.probe != 0;)
            select.probe >>= 1;
    kv_select_in_all_layers(ret, &select, 1);
out:
    return status;
}

static const struct kv_option options[] = {{KV_BUDGET, 0}, {KV_KEEP, 0},   {KV_SINKS, 4},  {KV_WINDOW, 8},
                                           {KV_UNIT, 8},   {KV_REUSE, 16}, {KV_BEFORE, 8}, {KV_PROBE, 2}};

const struct kv_policy kv_policy_refresh = {
    .name = "refresh",
    .summary = "decode steps attend to the units that got most attention when the set was refreshed",
    .source = "TOVA, SnapKV and LServe combined",
    .leakage = KV_LEAKAGE_OF_SELECTION,
    KV_OPTIONS(options),
    .plan = plan};
