/* How the parties of a run hear of each other that it is over, or that one of them is gone. */
#include "engine/session_run.h"

#include "base/clock.h"
#include "base/failpoint.h"

enum { END_STEP = 0x7fffffff, PART_STEP = 0x50415254, LOOK_MS = 5 };

/* P0 hears nothing of P1 and P2 in a run but that they leave it: any other message is its sender's error at once. Waits as long as a link does. */
static void hear_parting(struct eng_session *s, int i)
{
    struct mpc_party *p = &s->party;
    uint8_t word[8];
    if (p->status != BASE_OK || s->parted[i])
        return;
    net_link_set_phase(s->links.to[i], NET_PHASE_SETUP);
    BASE_FAIL_RECEIVE("engine.part.receive");
    p->status = net_link_receive(s->links.to[i], PART_STEP, word, sizeof word, &p->error);
    s->parted[i] = p->status == BASE_OK;
}

bool eng_session_left_behind(struct eng_session *s)
{
    bool left = false;
    if (mpc_computes(&s->party))
        return net_link_pending(s->party.peer);
    for (int i = 1; i <= 2; i++) {
        struct net_link *link = s->links.to[i];
        if (!net_link_lost(link) && net_link_pending(link))
            hear_parting(s, i);
        left = left || s->parted[i] || net_link_lost(link);
    }
    return left || s->party.status != BASE_OK;
}

enum base_status eng_session_look_at_parties(struct eng_session *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (int i = 0; i < 3; i++)
        if (s->links.to[i] != NULL && net_link_lost(s->links.to[i])) {
            BASE_FAIL_RECEIVE("engine.loss.receive");
            TRY(net_link_skip_to(s->links.to[i], PART_STEP, error));
            TRY(base_fail(error, BASE_ERR_CLOSED, "%s: the link ended", net_link_peer(s->links.to[i])));
        }
out:
    return status;
}

enum base_status eng_session_check_stop(const struct eng_session *s, struct base_error *error)
{
    if (s->cancelled == NULL || !s->cancelled(s->cancel_context))
        return BASE_OK;
    return base_fail(error, BASE_ERR_CLOSED, "this party was asked to stop");
}

/* P0 waits until both others have parted; one that hangs shows at the other first. */
static enum base_status wait_for_parting(struct eng_session *s)
{
    enum base_status status = BASE_OK;
    int64_t deadline = base_deadline_after(net_link_timeout(s->links.to[1]));
    for (;;) {
        (void)eng_session_left_behind(s);
        TRY(s->party.status);
        if ((s->parted[1] && s->parted[2]) || base_clock_ms() >= deadline)
            break;
        TRY(eng_session_look_at_parties(s, &s->party.error));
        base_sleep_ms(LOOK_MS);
    }
    for (int i = 1; i <= 2; i++)
        hear_parting(s, i);
    status = s->party.status;
out:
    return status;
}

enum base_status eng_session_part(struct eng_session *s)
{
    static const uint8_t word[8];
    struct mpc_party *p = &s->party;
    enum base_status status = BASE_OK;
    uint8_t theirs[8];
    eng_session_set_phase(s, NET_PHASE_SETUP);
    if (p->role != MPC_HELPER) {
        net_link_set_note(p->peer, false);
        BASE_FAIL_SEND("engine.part.exchange");
        TRY(net_link_exchange(p->peer, PART_STEP, word, sizeof word, theirs, sizeof theirs, &p->error));
        if (s->links.to[0] == NULL)
            return BASE_OK;
        BASE_FAIL_SEND("engine.part.send");
        TRY(net_link_send(s->links.to[0], PART_STEP, word, sizeof word, &p->error));
        BASE_FAIL_RECEIVE("engine.material_end.receive");
        TRY(net_link_skip_to(s->links.to[0], END_STEP, &p->error));
        return BASE_OK;
    }
    TRY(wait_for_parting(s));
    for (int i = 1; i <= 2; i++) {
        BASE_FAIL_SEND("engine.material_end.send");
        TRY(net_link_send(s->links.to[i], END_STEP, word, sizeof word, &p->error));
    }
out:
    p->status = status;
    return status;
}
