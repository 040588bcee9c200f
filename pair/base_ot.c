#include "pair/base_ot.h"

#include "base/memory.h"

#include <sodium.h>
#include <string.h>

enum { VERSION = 1, SCALAR = crypto_core_ristretto255_SCALARBYTES, WIDE = 64, DIGEST = 32 };
_Static_assert(PAIR_POINT == crypto_core_ristretto255_BYTES, "points have 32 bytes");

/* Offsets of a message: the head, r_0 and r_1 of every OT in which its writer receives, A of every one in which it sends. */
enum { AT_PAIRS = PAIR_BASE_HEAD, AT_SENDER = PAIR_BASE_HEAD + PAIR_BASE_OTS * 2 * PAIR_POINT };

static const uint8_t magic[4] = {'c', 'p', 'b', 'o'};

struct run {
    const struct pair_party *p;
    uint8_t mine[PAIR_BASE_BYTES], theirs[PAIR_BASE_BYTES];
    uint8_t a[PAIR_BASE_OTS][SCALAR], t[PAIR_BASE_OTS][SCALAR]; /* own scalars as sender and as receiver */
    uint8_t digest[DIGEST];                                     /* of both messages */
};

/* --- heads ------------------------------------------------------------------------------------------------------------------------- */

static void write_head(const struct pair_party *p, int k, uint8_t head[PAIR_BASE_HEAD])
{
    memset(head, 0, PAIR_BASE_HEAD);
    memcpy(head, magic, sizeof magic);
    head[4] = VERSION;
    head[5] = (uint8_t)p->id;
    head[6] = (uint8_t)k;
    memcpy(head + 8, p->session, PAIR_SESSION);
}

static enum base_status check_head(const struct pair_party *p, int k, const uint8_t head[PAIR_BASE_HEAD], struct base_error *error)
{
    const char *peer = net_link_peer(p->link);
    if (memcmp(head, magic, sizeof magic) != 0)
        return base_fail(error, BASE_ERR_PEER, "%s: its message is no base OT", peer);
    if (head[4] != VERSION)
        return base_fail(error, BASE_ERR_MISMATCH, "%s: base OT of version %d here, %u there: run the same build", peer, VERSION, head[4]);
    if (memcmp(head + 8, p->session, PAIR_SESSION) != 0)
        return base_fail(error, BASE_ERR_PEER, "%s: its base OT belongs to another session: it is refused, start a new session", peer);
    if (head[5] != pair_peer(p))
        return base_fail(error, BASE_ERR_PEER, "%s: its base OT says that it comes from P%u, expected P%d", peer, head[5], pair_peer(p));
    if (head[6] != k)
        return base_fail(error, BASE_ERR_MISMATCH, "%s: k of the OT extension is %d here, %u there: make both the same", peer, k, head[6]);
    return BASE_OK;
}

/* --- hashes ------------------------------------------------------------------------------------------------------------------------ */

static void begin(crypto_generichash_state *state, const char *label, const struct pair_party *p, int sender, int ot, int branch, size_t size)
{
    uint8_t place[3] = {(uint8_t)sender, (uint8_t)ot, (uint8_t)branch};
    (void)crypto_generichash_init(state, NULL, 0, size);
    (void)crypto_generichash_update(state, (const uint8_t *)label, strlen(label));
    (void)crypto_generichash_update(state, p->session, PAIR_SESSION);
    (void)crypto_generichash_update(state, place, sizeof place);
}

/* Hp(branch, other): an element whose logarithm nobody knows. */
static void hash_to_element(const struct pair_party *p, int sender, int ot, int branch, const uint8_t other[PAIR_POINT],
                            uint8_t ret[PAIR_POINT])
{
    crypto_generichash_state state;
    uint8_t wide[WIDE];
    begin(&state, "cachet pair base OT element", p, sender, ot, branch, sizeof wide);
    (void)crypto_generichash_update(&state, other, PAIR_POINT);
    (void)crypto_generichash_final(&state, wide, sizeof wide);
    (void)crypto_core_ristretto255_from_hash(ret, wide);
    base_wipe(wide, sizeof wide);
    base_wipe(&state, sizeof state);
}

static struct pair_block hash_to_key(const struct run *r, int sender, int ot, int branch, const uint8_t element[PAIR_POINT])
{
    crypto_generichash_state state;
    uint8_t out[16];
    begin(&state, "cachet pair base OT key", r->p, sender, ot, branch, sizeof out);
    (void)crypto_generichash_update(&state, r->digest, DIGEST);
    (void)crypto_generichash_update(&state, element, PAIR_POINT);
    (void)crypto_generichash_final(&state, out, sizeof out);
    struct pair_block key = {{base_load_u64(out), base_load_u64(out + 8)}};
    base_wipe(out, sizeof out);
    base_wipe(&state, sizeof state);
    return key;
}

/* P1's message first. */
static void hash_messages(struct run *r)
{
    crypto_generichash_state state;
    const uint8_t *first = r->p->id == 1 ? r->mine : r->theirs, *second = r->p->id == 1 ? r->theirs : r->mine;
    (void)crypto_generichash_init(&state, NULL, 0, DIGEST);
    (void)crypto_generichash_update(&state, first, PAIR_BASE_BYTES);
    (void)crypto_generichash_update(&state, second, PAIR_BASE_BYTES);
    (void)crypto_generichash_final(&state, r->digest, DIGEST);
}

/* --- messages ---------------------------------------------------------------------------------------------------------------------- */

static void draw_scalar(struct pair_party *p, uint8_t ret[SCALAR])
{
    uint8_t wide[WIDE];
    mpc_stream_bytes(&p->own, wide, sizeof wide);
    crypto_core_ristretto255_scalar_reduce(ret, wide);
    base_wipe(wide, sizeof wide);
}

static void draw_element(struct pair_party *p, uint8_t ret[PAIR_POINT])
{
    uint8_t wide[WIDE];
    mpc_stream_bytes(&p->own, wide, sizeof wide);
    (void)crypto_core_ristretto255_from_hash(ret, wide);
    base_wipe(wide, sizeof wide);
}

/* ret = bit ? b : a, for points. */
static void choose(uint8_t ret[PAIR_POINT], const uint8_t a[PAIR_POINT], const uint8_t b[PAIR_POINT], uint8_t bit)
{
    uint8_t mask = (uint8_t)(0 - bit);
    for (int i = 0; i < PAIR_POINT; i++)
        ret[i] = (uint8_t)(a[i] ^ ((a[i] ^ b[i]) & mask));
}

/* r_b = t G - Hp(b, r_(1-b)): both values of b are computed, one is chosen. */
static enum base_status write_pair(struct run *r, struct pair_party *p, int ot, uint8_t bit, struct base_error *error)
{
    uint8_t other[PAIR_POINT], own[PAIR_POINT], shift[2][PAIR_POINT], hashed[PAIR_POINT];
    uint8_t *pair = r->mine + AT_PAIRS + (size_t)ot * 2 * PAIR_POINT;
    draw_scalar(p, r->t[ot]);
    draw_element(p, other);
    for (int branch = 0; branch < 2; branch++)
        hash_to_element(p, pair_peer(p), ot, branch, other, shift[branch]);
    choose(hashed, shift[0], shift[1], bit);
    bool drawn = crypto_scalarmult_ristretto255_base(own, r->t[ot]) == 0 && crypto_core_ristretto255_sub(own, own, hashed) == 0;
    choose(pair, own, other, bit);
    choose(pair + PAIR_POINT, other, own, bit);
    base_wipe(shift, sizeof shift);
    base_wipe(hashed, sizeof hashed);
    return drawn ? BASE_OK : base_fail(error, BASE_ERR_INTERNAL, "a scalar of a base OT was zero");
}

static enum base_status write_message(struct run *r, struct pair_party *p, int k, const uint8_t *choice, struct base_error *error)
{
    enum base_status status = BASE_OK;
    write_head(p, k, r->mine);
    for (int i = 0; i < PAIR_BASE_OTS; i++) {
        TRY(write_pair(r, p, i, choice[i], error));
        draw_scalar(p, r->a[i]);
        TRY_THAT(crypto_scalarmult_ristretto255_base(r->mine + AT_SENDER + (size_t)i * PAIR_POINT, r->a[i]) == 0, error, BASE_ERR_INTERNAL,
                 "a scalar of a base OT was zero");
    }
out:
    return status;
}

/* --- keys -------------------------------------------------------------------------------------------------------------------------- */

static enum base_status not_a_point(const struct pair_party *p, int ot, struct base_error *error)
{
    return base_fail(error, BASE_ERR_PEER, "%s: base OT %d holds no element of ristretto255", net_link_peer(p->link), ot);
}

static enum base_status keys_of(const struct run *r, int ot, uint8_t bit, struct pair_block *ret_chosen, struct pair_block ret_pair[2],
                                struct base_error *error)
{
    const struct pair_party *p = r->p;
    const uint8_t *pair = r->theirs + AT_PAIRS + (size_t)ot * 2 * PAIR_POINT;
    uint8_t element[PAIR_POINT], hashed[PAIR_POINT];
    struct pair_block both[2];
    enum base_status status = BASE_OK;
    for (int branch = 0; branch < 2; branch++) {
        hash_to_element(p, p->id, ot, branch, pair + (1 - branch) * PAIR_POINT, hashed);
        if (crypto_core_ristretto255_add(element, pair + branch * PAIR_POINT, hashed) != 0 ||
            crypto_scalarmult_ristretto255(element, r->a[ot], element) != 0) {
            status = not_a_point(p, ot, error);
            goto out;
        }
        ret_pair[branch] = hash_to_key(r, p->id, ot, branch, element);
    }
    if (crypto_scalarmult_ristretto255(element, r->t[ot], r->theirs + AT_SENDER + (size_t)ot * PAIR_POINT) != 0) {
        status = not_a_point(p, ot, error);
        goto out;
    }
    for (int branch = 0; branch < 2; branch++)
        both[branch] = hash_to_key(r, pair_peer(p), ot, branch, element);
    for (int w = 0; w < 2; w++)
        ret_chosen->word[w] = both[0].word[w] ^ ((both[0].word[w] ^ both[1].word[w]) & (0 - (uint64_t)bit));
out:
    base_wipe(element, sizeof element);
    base_wipe(both, sizeof both);
    return status;
}

enum base_status pair_base_ot(struct pair_party *p, int k, const uint8_t choice[PAIR_BASE_OTS], struct pair_block ret_chosen[PAIR_BASE_OTS],
                              struct pair_block ret_pair[PAIR_BASE_OTS][2], struct base_error *error)
{
    enum base_status status;
    struct run *r = NULL;
    TRY_THAT(!p->base_ots, error, BASE_ERR_INTERNAL, "base OTs of this session were made before");
    TRY(base_alloc(&r, 1, sizeof *r, error));
    r->p = p;
    p->base_ots = true;
    TRY(write_message(r, p, k, choice, error));
    TRY(pair_put_bytes(p, r->mine, sizeof r->mine, error));
    TRY(pair_await_bytes(p, r->theirs, sizeof r->theirs, error));
    TRY(pair_exchange(p, error));
    TRY(check_head(p, k, r->theirs, error));
    hash_messages(r);
    for (int i = 0; i < PAIR_BASE_OTS; i++)
        TRY(keys_of(r, i, choice[i], &ret_chosen[i], ret_pair[i], error));
out:
    base_free_secret(&r);
    return status;
}
