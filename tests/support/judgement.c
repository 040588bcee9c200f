/* What a finished run is asked. */
#include "tests/support/three_parties.h"

#include <string.h>

static enum base_status same_cost(const char *who, struct mpc_cost declared, struct mpc_cost measured, struct base_error *error)
{
    if (declared.rounds == measured.rounds && declared.online == measured.online && declared.offline == measured.offline)
        return BASE_OK;
    return base_fail(error, BASE_ERR_MISMATCH,
                     "%s declared %llu rounds, %llu + %llu bytes; the links counted %llu rounds, %llu + %llu bytes", who,
                     (unsigned long long)declared.rounds, (unsigned long long)declared.online, (unsigned long long)declared.offline,
                     (unsigned long long)measured.rounds, (unsigned long long)measured.online, (unsigned long long)measured.offline);
}

enum base_status trio_check(const struct trio *trio, struct base_error *error)
{
    static const char *const names[TRIO_ROLES] = {"P0", "P1", "P2", "the twin"};
    enum base_status status = BASE_OK;
    const struct mpc_party *twin = &trio->party[TRIO_TWIN];
    TRY_THAT(trio->judgement.code == BASE_OK, error, trio->judgement.code, "%s", trio->judgement.text);
    TRY_THAT(twin->violations == 0, error, BASE_ERR_RANGE, "%s: %llu values outside the declared range", twin->violation,
             (unsigned long long)twin->violations);
    for (int r = 0; r < TRIO_PARTIES; r++)
        TRY_THAT(trio->record[r].count == trio->judged, error, BASE_ERR_MISMATCH, "%s completed %zu wires, the twin %zu", names[r],
                 trio->record[r].count, trio->judged);
    for (int r = 0; r < TRIO_ROLES; r++) {
        TRY(same_cost(names[r], trio->party[r].declared, trio->measured[r == TRIO_P2], error));
        TRY_THAT(memcmp(trio->party[r].openings, twin->openings, sizeof twin->openings) == 0, error, BASE_ERR_MISMATCH,
                 "%s counted other openings than the twin", names[r]);
        TRY_THAT(trio->party[r].step == twin->step, error, BASE_ERR_MISMATCH, "%s ends at step %u, the twin at %u", names[r],
                 (unsigned)trio->party[r].step, (unsigned)twin->step);
    }
    TRY(same_cost("the count role", trio->counted, trio->measured[0], error));
    TRY_THAT(trio->received[TRIO_END_P0_TO_P1].count == 0 && trio->received[TRIO_END_P0_TO_P2].count == 0, error, BASE_ERR_MISMATCH,
             "P0 received a message");
out:
    return status;
}

static enum base_status same_frames(const struct trio_frames *a, const struct trio_frames *b, int end, const char *verb,
                                    struct base_error *error)
{
    if (a->count != b->count)
        return base_fail(error, BASE_ERR_MISMATCH, "link end %d %s %zu frames, then %zu", end, verb, a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        if (a->frame[i].step != b->frame[i].step || a->frame[i].size != b->frame[i].size)
            return base_fail(error, BASE_ERR_MISMATCH, "link end %d: frame %zu %s differs: step %u, %zu bytes; step %u, %zu bytes",
                             end, i, verb, (unsigned)a->frame[i].step, a->frame[i].size, (unsigned)b->frame[i].step, b->frame[i].size);
    return BASE_OK;
}

enum base_status trio_same_transcript(const struct trio *a, const struct trio *b, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (int e = 0; e < TRIO_ENDS; e++) {
        TRY(same_frames(&a->sent[e], &b->sent[e], e, "sent", error));
        TRY(same_frames(&a->received[e], &b->received[e], e, "received", error));
    }
out:
    return status;
}

static struct trio *trio_of(const struct mpc_party *p)
{
    return *(struct trio *const *)p->observe_context; /* the first member of what observers get */
}

struct mpc_wire trio_input(struct mpc_party *p, const struct trio_job *job, size_t which)
{
    const struct trio_input *in = &job->inputs[which];
    return mpc_input(p, p->role == MPC_CLEAR ? in->x : NULL, in->count, in->ring, in->frac, in->bound);
}

void trio_output(struct mpc_party *p, struct mpc_wire wire)
{
    if (p->role == MPC_COUNT || mpc_failed(p))
        return;
    struct trio *trio = trio_of(p);
    int role = p->role == MPC_HELPER ? TRIO_P0 : p->role == MPC_LEFT ? TRIO_P1 : p->role == MPC_RIGHT ? TRIO_P2 : TRIO_TWIN;
    if (trio->outputs[role] < TRIO_OUTPUTS)
        trio->output[role][trio->outputs[role]++] = wire;
}

enum mpc_role trio_weights_role(const struct mpc_party *p)
{
    return p->role == MPC_HELPER ? trio_of(p)->held : p->role;
}

enum base_status trio_value(const struct trio *trio, size_t which, int64_t *ret_values, struct base_error *error)
{
    const struct mpc_wire *a = &trio->output[TRIO_P0][which], *b = &trio->output[TRIO_P1][which], *c = &trio->output[TRIO_P2][which];
    for (int r = 0; r < TRIO_PARTIES; r++)
        if (which >= trio->outputs[r])
            return base_fail(error, BASE_ERR_ARGUMENT, "output %zu is missing at party %d", which, r);
    if (a->count != b->count || a->count != c->count || a->ring != b->ring || a->ring != c->ring)
        return base_fail(error, BASE_ERR_MISMATCH, "output %zu: the parties disagree on its type", which);
    for (size_t i = 0; i < a->count; i++) {
        bool agree = b->m[i] == c->m[i] && (a->gate_only || (a->l1[i] == b->l1[i] && a->l2[i] == c->l2[i]));
        if (!agree)
            return base_fail(error, BASE_ERR_MISMATCH, "output %zu, element %zu: the parties hold different halves", which, i);
        ret_values[i] = mpc_signed(b->m[i] - a->l1[i] - (a->l2 == NULL ? 0 : a->l2[i]), a->ring);
    }
    return BASE_OK;
}
