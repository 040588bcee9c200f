#include "pair/cot.h"

#include "base/fork.h"
#include "base/memory.h"
#include "pair/base_ot.h"
#include "pair/ggm.h"

#include <string.h>

enum {
    COLUMNS = 128,
    CHUNK = 4096,             /* COTs that are stretched at a time: the streams of 256 seeds then fit the second cache */
    CHUNK_WORDS = CHUNK / 64,
    CHUNK_BYTES = CHUNK / 8,
    MOST_SEEDS = 256,
};

/* One direction's COTs that are made and not all used. */
struct pool {
    struct pair_block *key;
    uint8_t *choice; /* NULL where this party sends */
    size_t room, made, used;
    uint64_t first;   /* number of the one at place 0 */
    uint64_t batches; /* so far: the counter of the streams */
};

/* In locked memory, as `seed` is: [128 / k][2^k]; as a sender by places relative to Delta's groups, where place 0 is not known. */
struct pair_cot {
    int k;
    unsigned forks; /* base_forks when it was made */
    struct pair_block delta;
    struct kern_aes_key *seed[3]; /* by sender */
    struct pool pool[3];          /* by sender */
};

struct pair_block pair_delta(const struct pair_party *p)
{
    return p->cot->delta;
}

int pair_cot_k(const struct pair_party *p)
{
    return p->cot->k;
}

uint64_t pair_cot_used(const struct pair_party *p, int sender)
{
    return p->cot->pool[sender].first + p->cot->pool[sender].used;
}

/* --- setup ------------------------------------------------------------------------------------------------------------------------- */

/* Groups of k bits of Delta, lowest first. */
static void split_delta(struct pair_block delta, int k, uint64_t *ret_groups)
{
    for (int j = 0; j < COLUMNS / k; j++)
        ret_groups[j] = delta.word[j * k / 64] >> j * k % 64 & kern_ring_mask(k);
}

/* Base OT i * groups + j decides level i of tree j: the receiver wants the sum of the side where its path does not go. */
static void base_choices(const uint64_t *groups, int k, uint8_t choice[PAIR_BASE_OTS])
{
    int trees = COLUMNS / k;
    for (int i = 0; i < k; i++)
        for (int j = 0; j < trees; j++)
            choice[i * trees + j] = (uint8_t)(1 ^ pair_path_bit(groups[j], k, i));
}

static void expand_seeds(struct kern_aes_key *ret, const struct pair_block *leaves, size_t count)
{
    uint8_t bytes[16];
    for (size_t i = 0; i < count; i++) {
        base_store_u64(bytes, leaves[i].word[0]);
        base_store_u64(bytes + 8, leaves[i].word[1]);
        kern_aes_expand(&ret[i], bytes);
    }
    base_wipe(bytes, sizeof bytes);
}

/* All that setup holds for a moment. */
struct setup {
    uint64_t groups[COLUMNS];
    uint8_t choice[PAIR_BASE_OTS];
    struct pair_block chosen[PAIR_BASE_OTS], pair[PAIR_BASE_OTS][2];      /* keys of the base OTs */
    struct pair_block sums[PAIR_BASE_OTS][2], theirs[PAIR_BASE_OTS][2]; /* level sums under those keys */
    struct pair_block leaves[COLUMNS * MOST_SEEDS / 8];
};

/* The tree of the receiver's seeds, and its level sums under the base OTs' keys. */
static enum base_status grow_own(struct pair_party *p, struct pair_cot *cot, struct setup *s, struct base_error *error)
{
    size_t trees = (size_t)(COLUMNS / cot->k);
    enum base_status status = pair_ggm_grow(p, trees, cot->k, NULL, s->leaves, s->sums, error);
    if (status != BASE_OK)
        return status;
    expand_seeds(cot->seed[pair_peer(p)], s->leaves, trees << cot->k);
    for (int i = 0; i < PAIR_BASE_OTS; i++)
        for (int side = 0; side < 2; side++)
            s->sums[i][side] = pair_xor(s->sums[i][side], s->pair[i][side]);
    return BASE_OK;
}

static enum base_status grow_theirs(struct pair_party *p, struct pair_cot *cot, struct setup *s, struct base_error *error)
{
    size_t trees = (size_t)(COLUMNS / cot->k);
    for (int i = 0; i < PAIR_BASE_OTS; i++) {
        struct pair_block a = s->theirs[i][0], b = s->theirs[i][1];
        pair_swap_if(&a, &b, s->choice[i]);
        s->chosen[i] = pair_xor(s->chosen[i], a);
    }
    enum base_status status = pair_ggm_grow_around(p, trees, cot->k, false, s->groups, s->chosen, s->leaves, error);
    if (status == BASE_OK)
        expand_seeds(cot->seed[p->id], s->leaves, trees << cot->k);
    return status;
}

struct pair_cost pair_cot_start_cost(void)
{
    struct pair_cost cost = {.exchanges = 2};
    cost.bytes[1] = cost.bytes[2] = PAIR_BASE_BYTES + sizeof(((struct setup *)0)->sums);
    return cost;
}

static void free_cot(struct pair_cot **cot)
{
    for (int s = 1; *cot != NULL && s <= 2; s++) {
        base_free_locked(&(*cot)->seed[s]);
        base_free_secret(&(*cot)->pool[s].key);
        base_free_secret(&(*cot)->pool[s].choice);
    }
    base_free_locked(cot);
}

enum base_status pair_cot_start(struct pair_party *p, int k, struct base_error *error)
{
    enum base_status status;
    struct pair_cot *cot = NULL;
    struct setup *s = NULL;
    TRY_THAT(k == 4 || k == 8, error, BASE_ERR_ARGUMENT, "k of the OT extension is %d: it is 4 or 8", k);
    TRY(base_alloc(&s, 1, sizeof *s, error));
    TRY(base_alloc_locked(&cot, sizeof *cot, error));
    cot->forks = base_forks;
    cot->k = k;
    for (int sender = 1; sender <= 2; sender++)
        TRY(base_alloc_locked(&cot->seed[sender], ((size_t)(COLUMNS / k) << k) * sizeof *cot->seed[sender], error));
    mpc_stream_words(&p->own, cot->delta.word, 2, 64);
    cot->delta.word[0] = (cot->delta.word[0] & ~UINT64_C(1)) | (p->id == 2);
    split_delta(cot->delta, k, s->groups);
    base_choices(s->groups, k, s->choice);
    TRY(pair_base_ot(p, k, s->choice, s->chosen, s->pair, error));
    TRY(grow_own(p, cot, s, error));
    TRY(pair_put(p, s->sums[0][0].word, 4 * PAIR_BASE_OTS, 64, error));
    TRY(pair_await(p, s->theirs[0][0].word, 4 * PAIR_BASE_OTS, 64, error));
    TRY(pair_exchange(p, error));
    TRY(grow_theirs(p, cot, s, error));
    p->declared = pair_cost_then(p->declared, pair_cot_start_cost());
    p->cot = cot;
    cot = NULL;
out:
    free_cot(&cot);
    base_free_secret(&s);
    return status;
}

enum base_status pair_cot_of_delta(struct pair_party *p, struct pair_block delta, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY_THAT(p->cot == NULL, error, BASE_ERR_INTERNAL, "the session has a Delta of its own");
    TRY(base_alloc_locked(&p->cot, sizeof *p->cot, error));
    p->cot->forks = base_forks;
    p->cot->delta = delta;
out:
    return status;
}

void pair_cot_finish(struct pair_party *p)
{
    free_cot(&p->cot);
}

/* --- extension --------------------------------------------------------------------------------------------------------------------- */

/* Space of one chunk. */
struct chunk {
    uint64_t stream[MOST_SEEDS][CHUNK_WORDS];
    uint64_t column[COLUMNS][CHUNK_WORDS];
};

/* sums[b] = XOR of the streams at places whose bit b is set; returns in stream[0] the XOR of all. k halvings, 2^(k+1) XORs in all. */
static void fold(uint64_t (*stream)[CHUNK_WORDS], int k, uint64_t (*sums)[CHUNK_WORDS])
{
    for (int b = 0; b < k; b++) {
        size_t half = (size_t)1 << (k - 1 - b);
        memset(sums[b], 0, sizeof sums[b]);
        for (size_t i = 0; i < half; i++)
            for (size_t w = 0; w < CHUNK_WORDS; w++) {
                uint64_t odd = stream[2 * i + 1][w];
                sums[b][w] ^= odd;
                stream[i][w] = stream[2 * i][w] ^ odd;
            }
    }
}

/* The streams of one group, from place `from` on, COTs at..at + CHUNK of a batch. */
static void stretch(const struct pair_party *p, const struct kern_aes_key *seeds, int k, size_t from, uint64_t batch, size_t at,
                    struct chunk *c)
{
    memset(c->stream[0], 0, sizeof c->stream[0]);
    for (size_t x = from; x < (size_t)1 << k; x++)
        p->kern->prg_fill(&seeds[x], batch, at / 128, (uint8_t *)c->stream[x], CHUNK_BYTES);
}

/* 64 x 64 bits in place: bit j of word i and bit i of word j change places. */
static void transpose64(uint64_t a[64])
{
    static const uint64_t low[6] = {0x00000000ffffffff, 0x0000ffff0000ffff, 0x00ff00ff00ff00ff,
                                    0x0f0f0f0f0f0f0f0f, 0x3333333333333333, 0x5555555555555555};
    for (int step = 0; step < 6; step++) {
        int reach = 32 >> step;
        for (int block = 0; block < 64; block += 2 * reach)
            for (int i = block; i < block + reach; i++) {
                uint64_t t = (a[i] >> reach ^ a[i + reach]) & low[step];
                a[i] ^= t << reach;
                a[i + reach] ^= t;
            }
    }
}

/* Columns of a chunk into rows: ret[count]. */
static void rows_of(const struct chunk *c, size_t count, struct pair_block *ret)
{
    uint64_t square[64];
    for (size_t w = 0; w < count / 64; w++)
        for (int half = 0; half < 2; half++) {
            for (int i = 0; i < 64; i++)
                square[i] = c->column[64 * half + i][w];
            transpose64(square);
            for (size_t i = 0; i < 64; i++)
                ret[64 * w + i].word[half] = square[i];
        }
    base_wipe(square, sizeof square);
}

static void bits_of(const uint64_t *words, size_t count, uint8_t *ret)
{
    for (size_t i = 0; i < count; i++)
        ret[i] = (uint8_t)(words[i / 64] >> i % 64 & 1);
}

/* The receiver's half of a chunk: M, the choice bits, and what goes to the sender: 128 / k - 1 columns of count bits. */
static enum base_status receive_chunk(struct pair_party *p, struct pool *pool, size_t at, size_t count, struct chunk *c,
                                      struct base_error *error)
{
    uint64_t first[CHUNK_WORDS];
    int k = p->cot->k;
    enum base_status status = BASE_OK;
    for (int j = 0; j < COLUMNS / k; j++) {
        stretch(p, p->cot->seed[pair_peer(p)] + ((size_t)j << k), k, 0, pool->batches, at, c);
        fold(c->stream, k, &c->column[j * k]);
        if (j == 0) {
            memcpy(first, c->stream[0], sizeof first);
            continue;
        }
        for (size_t w = 0; w < CHUNK_WORDS; w++)
            c->stream[0][w] ^= first[w];
        TRY(pair_put(p, c->stream[0], count / 64, 64, error));
    }
    rows_of(c, count, pool->key + pool->made + at);
    bits_of(first, count, pool->choice + pool->made + at);
out:
    base_wipe(first, sizeof first);
    return status;
}

/* The sender's half: `corrections` are the columns that came. */
static void send_chunk(const struct pair_party *p, struct pool *pool, size_t at, size_t count, const uint64_t *corrections, struct chunk *c)
{
    int k = p->cot->k;
    for (int j = 0; j < COLUMNS / k; j++) {
        stretch(p, p->cot->seed[p->id] + ((size_t)j << k), k, 1, pool->batches, at, c);
        fold(c->stream, k, &c->column[j * k]);
        for (int b = 0; j > 0 && b < k; b++) {
            int column = j * k + b;
            uint64_t set = 0 - (p->cot->delta.word[column / 64] >> column % 64 & 1);
            for (size_t w = 0; w < count / 64; w++)
                c->column[column][w] ^= set & corrections[(size_t)(j - 1) * (count / 64) + w];
        }
    }
    rows_of(c, count, pool->key + pool->made + at);
}

/* What is left goes to the front of a pool with room for `more` new ones; the rest is wiped. */
static enum base_status renew(struct pool *pool, size_t more, bool receives, struct base_error *error)
{
    enum base_status status;
    size_t left = pool->made - pool->used;
    struct pair_block *key = NULL;
    uint8_t *choice = NULL;
    TRY(base_alloc(&key, left + more, sizeof *key, error));
    if (receives)
        TRY(base_alloc(&choice, left + more, 1, error));
    if (left > 0) {
        memcpy(key, pool->key + pool->used, left * sizeof *key);
        if (receives)
            memcpy(choice, pool->choice + pool->used, left);
    }
    base_free_secret(&pool->key);
    base_free_secret(&pool->choice);
    *pool = (struct pool){.key = key, .choice = choice, .room = left + more, .made = left, .first = pool->first + pool->used,
                          .batches = pool->batches};
    key = NULL;
    choice = NULL;
out:
    base_free_secret(&key);
    base_free_secret(&choice);
    return status;
}

static size_t batch_of(uint64_t count)
{
    return (size_t)((count + PAIR_COT_BATCH - 1) / PAIR_COT_BATCH * PAIR_COT_BATCH);
}

static uint64_t correction_bytes(uint64_t count, int k)
{
    return batch_of(count) / 8 * (uint64_t)(COLUMNS / k - 1);
}

struct pair_cost pair_cot_extend_cost(const uint64_t count[3], int k)
{
    struct pair_cost cost = {.exchanges = count[1] + count[2] > 0};
    cost.bytes[2] = correction_bytes(count[1], k);
    cost.bytes[1] = correction_bytes(count[2], k);
    return cost;
}

/* pool[s] lacks lacking[s] COTs, whole batches. */
static enum base_status extend(struct pair_party *p, const uint64_t lacking[3], struct base_error *error)
{
    enum base_status status;
    struct pair_cot *cot = p->cot;
    struct chunk *c = NULL;
    uint64_t *corrections = NULL;
    int peer = pair_peer(p), rows = COLUMNS / cot->k - 1;
    size_t receive = (size_t)lacking[peer], send = (size_t)lacking[p->id];
    TRY(base_alloc(&c, 1, sizeof *c, error));
    TRY(base_alloc(&corrections, send / 64 * (size_t)rows + 1, sizeof *corrections, error));
    for (size_t at = 0; at < receive; at += CHUNK)
        TRY(receive_chunk(p, &cot->pool[peer], at, receive - at < CHUNK ? receive - at : CHUNK, c, error));
    TRY(pair_await(p, corrections, send / 64 * (size_t)rows, 64, error));
    TRY(pair_exchange(p, error));
    for (size_t at = 0; at < send; at += CHUNK)
        send_chunk(p, &cot->pool[p->id], at, send - at < CHUNK ? send - at : CHUNK, corrections + at / 64 * (size_t)rows, c);
    for (int s = 1; s <= 2; s++) {
        cot->pool[s].made += (size_t)lacking[s];
        cot->pool[s].batches += lacking[s] > 0;
    }
out:
    base_free_secret(&c);
    base_free(&corrections);
    return status;
}

enum base_status pair_cot_reserve(struct pair_party *p, const uint64_t count[3], struct base_error *error)
{
    uint64_t lacking[3] = {0};
    if (count[1] + count[2] == 0)
        return BASE_OK;
    if (p->cot == NULL)
        return base_fail(error, BASE_ERR_INTERNAL, "COTs are wanted before base OTs were made");
    for (int s = 1; s <= 2; s++) {
        struct pool *pool = &p->cot->pool[s];
        uint64_t left = pool->made - pool->used;
        if (count[s] <= left)
            continue;
        lacking[s] = batch_of(count[s] - left);
        enum base_status status = renew(pool, (size_t)lacking[s], s != p->id, error);
        if (status != BASE_OK)
            return status;
    }
    p->declared = pair_cost_then(p->declared, pair_cot_extend_cost(lacking, p->cot->k));
    return lacking[1] + lacking[2] == 0 ? BASE_OK : extend(p, lacking, error);
}

enum base_status pair_cot_take(struct pair_party *p, int sender, size_t count, struct pair_cots *ret, struct base_error *error)
{
    if (p->cot == NULL)
        return base_fail(error, BASE_ERR_INTERNAL, "COTs are wanted before base OTs were made");
    base_fork_check(p->cot->forks, "the COTs");
    struct pool *pool = &p->cot->pool[sender];
    if (count > pool->made - pool->used)
        return base_fail(error, BASE_ERR_INTERNAL, "%zu COTs of P%d are wanted and %zu are left: a job uses more than it declares", count, sender,
                         pool->made - pool->used);
    *ret = (struct pair_cots){.first = pool->first + pool->used, .count = count, .key = pool->key + pool->used,
                              .choice = pool->choice == NULL ? NULL : pool->choice + pool->used};
    pool->used += count;
    return BASE_OK;
}
