/* select: nothing is evicted; decode steps attend to the units of rows that score highest, one set for
 * several steps.
 *
 * Each KV head scores units of 16 rows by the mean of their keys against the sum of its queries, and the best
 * ones are gathered. Rows that arrive meanwhile are attended to as part of the window. With async=1 a set is
 * chosen from the queries of the step when the last one came into use, and its rounds take part in those of
 * other layers. Source: specification, kv.py (GatherCache), section 9.4; InfLLM, arXiv 2402.04617, for block
 * means; LServe, arXiv 2502.14866, for one set over several steps. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    enum { ALONE = 2 };
    enum base_status status = BASE_OK;
    const uint32_t *v = config->value;
    const struct kv_dims *d = &ret->dims;
    size_t rows = kv_budget_rows(config, d->prompt), public_rows = v[KV_SINKS] + v[KV_WINDOW];
    TRY(kv_check_budget("select", rows, d->prompt, public_rows + v[KV_UNIT], error));
    for (size_t l = 0; l < d->layers; l++)
        ret->layer[l].select =
            (struct kv_selection_plan){.units = (rows - public_rows) / v[KV_UNIT],
                                       .unit = v[KV_UNIT],
                                       .first = v[KV_SINKS],
                                       .last = v[KV_WINDOW],
                                       .reuse = v[KV_REUSE],
                                       .ahead = v[KV_ASYNC] == 1,
                                       .set_of = l < ALONE ? l : l - (l - ALONE) % v[KV_SHARE]};
out:
    return status;
}

static const struct kv_option options[] = {{KV_BUDGET, 0}, {KV_KEEP, 0},  {KV_SINKS, 4}, {KV_WINDOW, 32},
                                           {KV_UNIT, 16},  {KV_REUSE, 4}, {KV_ASYNC, 0}, {KV_SHARE, 1}};

const struct kv_policy kv_policy_select = {
    .name = "select",
    .summary = "nothing is evicted; decode steps attend to the best units, one set for several steps",
    .source = "specification, section 9.4",
    .leakage = "sizes only: units, their number and how long a set is used are public; which ones are chosen "
               "is opened to nobody",
    KV_OPTIONS(options),
    .plan = plan};
