#include "parties/leakage.h"

#include "engine/cost.h"
#include "parties/model.h"
#include "protocols/registry.h"

/* A public shape's first layers stand for all models: what is opened depends on no weight. Policies with a budget
 * get the same one. */
enum { ROWS = 512, LAYERS = 4, BUDGET = 25, ELEMENTS = 1024, TYPICAL_SCORE_BITS = 5 };
#define SHAPE "smollm2-135m"

static const char introduction[] =
    "# What leaves the shares\n\n"
    "This page is printed by `cachet check --openings`; a test compares the two. What follows for whom is in "
    "`docs/trust.md`.\n\n"
    "Values are opened by one function per receiver (`mpc/opening.h`), and each call names an entry of this "
    "registry. Parties count what they\n"
    "open: `opened_values` of each party in the `--json` report of a request.\n\n";

static const char request[] =
    "## Of a request\n\n"
    "- **Sampling by the client** (the default): for each row whose logits are asked for (the last row of the prompt, "
    "and each new token's), all logits of\n"
    "  the vocabulary under `logits` and one value under `final-squares`.\n"
    "- **`--inside`**: one value under `token` for each new token, and no logits.\n"
    "- One value under `guard` for each step: a chunk of the prompt, or a new token.\n"
    "- Nothing under `top-tokens` and `top-logits`, which no call names yet, nor under `shuffled-bits` and "
    "`shuffled-flags`, which belong to operations that\n"
    "  no request uses.\n\n"
    "A prompt of one chunk and T new tokens so open T (vocabulary + 1) + T values, with `--inside` T + T: a test "
    "counts them.\n\n";

/* --- the registry ----------------------------------------------------------------------------------------- */

void leakage_print_registry(FILE *out)
{
    (void)fputs("| entry | what | to whom | why it is safe |\n|---|---|---|---|\n", out);
    for (int i = 0; i < MPC_OPENING_COUNT; i++) {
        const struct mpc_opening_entry *entry = mpc_opening_entry((enum mpc_opening)i);
        if (i != MPC_OPEN_TEST)
            (void)fprintf(out, "| %s | %s | %s | %s |\n", entry->name, entry->what, entry->to, entry->why_safe);
    }
    (void)fputc('\n', out);
}

static void print_operations(FILE *out)
{
    size_t count, silent = 0;
    const struct sec_gate *const *gates = sec_gates(&count);
    (void)fprintf(out, "## Of single operations\n\nValues that P1 and P2 open to each other in the standard instance of each "
                       "secure function, per %d\n"
                       "inputs; its conformance test counts them.\n\n| function | entry | values |\n|---|---|---|\n", ELEMENTS);
    for (size_t i = 0; i < count; i++) {
        uint64_t opened = gates[i]->opens == NULL ? 0 : gates[i]->opens(ELEMENTS);
        silent += opened == 0;
        if (opened > 0)
            (void)fprintf(out, "| %s | %s | %llu |\n", gates[i]->name, mpc_opening_entry(gates[i]->opens_as)->name,
                          (unsigned long long)opened);
    }
    (void)fprintf(out, "| the other %zu | | none |\n\n", silent);
}

/* --- the decoder graph ------------------------------------------------------------------------------------ */

static enum base_status count_policy(const struct kv_policy *policy, const struct eng_model_shape *shape, struct eng_plan *plan,
                                     struct eng_cost *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct kv_policy *found;
    struct eng_decoder_form form = {.shape = shape, .plan = plan, .policy = policy, .context = ROWS};
    size_t steps;
    TRY(kv_config_parse(policy->name, kv_policy_takes(policy, KV_BUDGET) ? BUDGET : 0, &found, &form.config, error));
    TRY(eng_decoder_period(&form, ROWS, &steps, error));
    form.context += steps;
    plan->context = (int)form.context;
    TRY(eng_cost_count_steps(ret, &form, ROWS, steps, NULL, error));
out:
    return status;
}

static uint64_t between_parties(const struct eng_cost *cost)
{
    uint64_t sum = 0;
    for (int i = 0; i < MPC_OPENING_COUNT; i++)
        sum += cost->opened[i];
    return sum;
}

static enum base_status print_policies(FILE *out, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct model model = {0};
    struct eng_plan plan = {0};
    struct eng_cost cost;
    TRY(model_open(&model, (struct model_input){.shape = SHAPE, .layers = LAYERS}, error));
    TRY(eng_plan_init(&plan, model.shape.layers, model.shape.heads, 2 * ROWS, error));
    TRY(kv_profile_init_uniform(&plan.profile, model.shape.layers, model.shape.kv_heads, error));
    eng_plan_set_typical(&plan, model.shape.width, model.shape.norm_eps, TYPICAL_SCORE_BITS);
    eng_plan_set_cheap(&plan, MODEL_TYPICAL_RANGE, MODEL_TYPICAL_HEADROOM);
    (void)fprintf(out,
                  "## Inside the model, by cache policy\n\nWhat the decoder graph itself opens, to anybody, while it reads "
                  "a prompt of %d tokens and decodes until its\nsteps repeat; counted with the first %d layers of %s, a "
                  "budget of %d %%.\n\n"
                  "| policy | steps | values opened | what it reveals |\n|---|---|---|---|\n",
                  ROWS, LAYERS, SHAPE, BUDGET);
    for (const struct kv_policy *const *policy = kv_policy_list(); *policy != NULL; policy++) {
        TRY(count_policy(*policy, &model.shape, &plan, &cost, error));
        (void)fprintf(out, "| %s | %zu | %llu | %s |\n", (*policy)->name, cost.steps,
                      (unsigned long long)between_parties(&cost), (*policy)->leakage);
    }
out:
    eng_plan_finish(&plan);
    model_close(&model);
    return status;
}

enum base_status leakage_print(FILE *out, struct base_error *error)
{
    (void)fputs(introduction, out);
    (void)fputs("## The registry\n\n", out);
    leakage_print_registry(out);
    (void)fputs(request, out);
    print_operations(out);
    return print_policies(out, error);
}
