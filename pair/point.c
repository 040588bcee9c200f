#include "pair/point.h"

#include "base/memory.h"
#include "pair/cot.h"
#include "pair/ggm.h"

#include <string.h>

/* --- forms and costs --------------------------------------------------------------------------------------------------------------- */

/* Level i of the path as an additive number: weight 2^(h - 1 - i), so the product of the two bits counts mod 2^i. */
static struct pair_gilboa_form additive_form(const struct pair_point_form *form, int level)
{
    return (struct pair_gilboa_form){.sender = 2, .count = form->count, .bits = 1, .width = 1, .ring = level};
}

/* Twice a word of Z_2^(R - 1) is one of Z_2^R. One bit at least, so that every batch has its exchanges. */
static void turn_rings(const struct pair_point_form *form, int ret[PAIR_MOST_WORDS])
{
    for (int g = 0; g < form->groups; g++)
        ret[g] = form->rings[g] > 1 ? form->rings[g] - 1 : 1;
}

static struct pair_gilboa_form turn_form(const struct pair_point_form *form, int sender, const int *rings)
{
    return (struct pair_gilboa_form){.sender = sender, .count = form->count, .bits = 1, .width = (size_t)form->groups, .rings = rings};
}

struct pair_cost pair_point_cost(struct pair_point_form form)
{
    struct pair_cost cost = {0};
    int rings[PAIR_MOST_WORDS];
    turn_rings(&form, rings);
    for (int level = 1; level < form.h; level++)
        cost = pair_cost_beside(cost, pair_gilboa_cost(additive_form(&form, level)));
    for (int sender = 1; sender <= 2; sender++)
        cost = pair_cost_beside(cost, pair_gilboa_cost(turn_form(&form, sender, rings)));
    for (int id = 1; id <= 2; id++) {
        cost.bytes[id] += form.count * 16 * (uint64_t)form.h + mpc_bits(form.count, form.h);
        for (int g = 0; g < form.groups; g++)
            cost.bytes[id] += mpc_bits(form.count, form.rings[g]);
        cost.cots[id] += form.count * (uint64_t)form.h;
    }
    cost.exchanges = (uint64_t)form.h + 3;
    return cost;
}

/* --- trees ------------------------------------------------------------------------------------------------------------------------- */

static struct pair_block root(const struct pair_party *p, uint64_t tree)
{
    struct pair_block node = pair_delta(p);
    node.word[1] ^= tree;
    return node;
}

static void hash_level(const struct pair_party *p, const struct pair_block *node, size_t count, int level, struct pair_block *ret)
{
    pair_hash(p, ret, node, count, (uint64_t)level, 0, pair_hash_high(PAIR_HASH_NODE, 0));
}

/* Children of one tree's `width` nodes; last ones first, so that they may grow where they are. */
static void grow_tree(const struct pair_block *node, const struct pair_block *hashed, size_t width, struct pair_block word,
                      struct pair_block *ret)
{
    for (size_t i = width; i-- > 0;) {
        struct pair_block s = node[i], left = pair_xor(hashed[i], pair_times(word, s.word[0] & 1));
        ret[2 * i] = left;
        ret[2 * i + 1] = pair_xor(left, s);
    }
}

/* The same for n trees, the last tree first. words[n]. */
static void grow_level(struct pair_block *node, const struct pair_block *hashed, size_t n, size_t width, const struct pair_block *words)
{
    for (size_t t = n; t-- > 0;)
        grow_tree(node + t * width, hashed + t * width, width, words[t], node + 2 * t * width);
}

/* Words 2 block and 2 block + 1 of leaves. */
static void hash_leaves(const struct pair_party *p, const struct pair_block *leaf, size_t count, int block, struct pair_block *ret)
{
    pair_hash(p, ret, leaf, count, (uint64_t)block, 0, pair_hash_high(PAIR_HASH_LEAF, 0));
}

/* --- stages ------------------------------------------------------------------------------------------------------------------------ */

/* Own halves of (1 - alpha) Delta and of alpha, and the roots. */
static enum base_status begin(struct pair_party *p, struct pair_point *job, struct base_error *error)
{
    const struct pair_point_form *form = &job->keys->form;
    enum base_status status;
    struct pair_cots cots[3];
    struct pair_block delta = pair_delta(p);
    size_t all = form->count * (size_t)form->h;
    for (int s = 1; s <= 2; s++)
        TRY(pair_cot_take(p, s, all, &cots[s], error));
    const struct pair_cots *sent = &cots[p->id], *received = &cots[pair_peer(p)];
    for (size_t i = 0; i < all; i++) {
        job->alpha[i] = received->choice[i];
        /* own alpha times own Delta, and both COTs' halves of the mixed terms */
        struct pair_block own = pair_times(delta, 1 ^ job->alpha[i]);
        job->half[i] = pair_xor(own, pair_xor(sent->key[i], received->key[i]));
    }
    job->keys->first_tree = p->next_tree;
    p->next_tree += form->count;
    for (size_t t = 0; t < form->count; t++)
        job->node[t] = root(p, job->keys->first_tree + t);
out:
    return status;
}

/* What both parties sent for a level becomes its word, and the trees grow by it. */
static void end_level(struct pair_point *job, int level)
{
    size_t n = job->keys->form.count;
    struct pair_block *word = job->keys->words + (size_t)level * n;
    for (size_t t = 0; t < n; t++)
        word[t] = pair_xor(job->sum[0][t], job->sum[1][t]);
    grow_level(job->node, job->hashed, n, (size_t)1 << level, word);
}

static enum base_status begin_level(struct pair_party *p, struct pair_point *job, int level, struct base_error *error)
{
    enum base_status status;
    size_t n = job->keys->form.count, width = (size_t)1 << level;
    hash_level(p, job->node, n * width, level, job->hashed);
    for (size_t t = 0; t < n; t++) {
        struct pair_block sum = job->half[(size_t)level * n + t];
        for (size_t i = t * width; i < (t + 1) * width; i++)
            sum = pair_xor(sum, job->hashed[i]);
        job->sum[0][t] = sum;
    }
    TRY(pair_put(p, job->sum[0][0].word, 2 * n, 64, error));
    TRY(pair_await(p, job->sum[1][0].word, 2 * n, 64, error));
out:
    return status;
}

/* The random index as an additive share, and its distance to the one that is wanted. */
static enum base_status open_distance(struct pair_party *p, struct pair_point *job, struct base_error *error)
{
    const struct pair_point_form *form = &job->keys->form;
    enum base_status status;
    size_t n = form->count;
    for (size_t t = 0; t < n; t++) {
        uint64_t alpha = 0;
        for (int level = 0; level < form->h; level++) {
            size_t at = (size_t)level * n + t;
            int weight = form->h - 1 - level;
            alpha += (job->alpha[at] << weight) - (job->product[at] << (weight + 1));
        }
        job->opened[0][t] = (job->index[t] - alpha) & kern_ring_mask(form->h);
    }
    TRY(pair_put(p, job->opened[0], n, form->h, error));
    TRY(pair_await(p, job->opened[1], n, form->h, error));
out:
    return status;
}

/* g, and B before its sign: P1 beta - sum of leaves, P2 beta + sum of leaves. */
static enum base_status end_trees(struct pair_party *p, struct pair_point *job, struct base_error *error)
{
    const struct pair_point_form *form = &job->keys->form;
    size_t n = form->count, width = (size_t)1 << form->h;
    struct pair_block *words = NULL;
    enum base_status status = base_alloc(&words, width, sizeof *words, error);
    for (size_t t = 0; status == BASE_OK && t < n; t++) {
        const struct pair_block *leaf = job->node + t * width;
        uint64_t controls = 0;
        for (size_t i = 0; i < width; i++)
            controls += leaf[i].word[0] & 1;
        uint64_t g = (p->id == 1 ? (controls >> 1) ^ controls ^ 1 : controls >> 1) & 1;
        job->sign[t] = g;
        for (int w = 0; w < form->groups; w++) {
            uint64_t sum = 0;
            if (w % 2 == 0)
                hash_leaves(p, leaf, width, w / 2, words);
            for (size_t i = 0; i < width; i++)
                sum += words[i].word[w % 2];
            uint64_t b = job->beta[(size_t)w * n + t], base = p->id == 1 ? b - sum : b + sum;
            job->base[(size_t)w * n + t] = (base ^ (0 - g)) + g;
        }
    }
    base_free_secret(&words);
    return status;
}

/* (-1)^(g1 xor g2) (B1 + B2): B is turned by the other's bit. */
static enum base_status send_last(struct pair_party *p, struct pair_point *job, struct base_error *error)
{
    const struct pair_point_form *form = &job->keys->form;
    enum base_status status = BASE_OK;
    size_t n = form->count;
    for (size_t i = 0; i < n * (size_t)form->groups; i++)
        job->keys->last[i] = job->base[i] - 2 * (job->turned[0][i] + job->turned[1][i]);
    for (int g = 0; g < form->groups; g++) {
        TRY(pair_put(p, job->keys->last + (size_t)g * n, n, form->rings[g], error));
        TRY(pair_await(p, job->last + (size_t)g * n, n, form->rings[g], error));
    }
out:
    return status;
}

static void end(struct pair_point *job)
{
    const struct pair_point_form *form = &job->keys->form;
    size_t n = form->count;
    for (int g = 0; g < form->groups; g++)
        for (size_t t = 0; t < n; t++) {
            size_t at = (size_t)g * n + t;
            job->keys->last[at] = (job->keys->last[at] + job->last[at]) & kern_ring_mask(form->rings[g]);
        }
}

static enum base_status step_additive(struct pair_party *p, struct pair_point *job, int stage, struct base_error *error)
{
    const struct pair_point_form *form = &job->keys->form;
    for (int level = 1; stage <= 2 && level < form->h; level++) {
        enum base_status status = job->additive[level].job.step(p, &job->additive[level].job, stage, error);
        if (status != BASE_OK)
            return status;
    }
    if (stage == 2)
        return open_distance(p, job, error);
    for (size_t t = 0; stage == 3 && t < form->count; t++)
        job->keys->shift[t] = (job->opened[0][t] + job->opened[1][t]) & kern_ring_mask(form->h);
    return BASE_OK;
}

static enum base_status step_payload(struct pair_party *p, struct pair_point *job, int stage, struct base_error *error)
{
    enum base_status status = BASE_OK;
    if (stage == 0)
        TRY(end_trees(p, job, error));
    for (int d = 0; stage <= 2 && d < 2; d++)
        if (stage <= (int)job->turn[d].job.cost.exchanges)
            TRY(job->turn[d].job.step(p, &job->turn[d].job, stage, error));
    if (stage == 2)
        TRY(send_last(p, job, error));
    if (stage == 3)
        end(job);
out:
    return status;
}

static enum base_status step(struct pair_party *p, struct pair_job *base, int stage, struct base_error *error)
{
    struct pair_point *job = (struct pair_point *)base;
    int h = job->keys->form.h;
    enum base_status status = BASE_OK;
    if (stage == 0)
        TRY(begin(p, job, error));
    if (stage >= 1 && stage <= h)
        end_level(job, stage - 1);
    if (stage < h)
        TRY(begin_level(p, job, stage, error));
    TRY(step_additive(p, job, stage, error));
    if (stage >= h)
        TRY(step_payload(p, job, stage - h, error));
out:
    return status;
}

/* --- making and freeing ------------------------------------------------------------------------------------------------------------ */

void pair_point_keys_finish(struct pair_point_keys *keys)
{
    base_free(&keys->words);
    base_free(&keys->last);
    base_free(&keys->shift);
}

static void finish(struct pair_job *base)
{
    struct pair_point *job = (struct pair_point *)base;
    void *secret[] = {job->node, job->hashed, job->half, job->alpha, job->product, job->sign, job->base, job->last};
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
        base_free_secret(&secret[i]);
    for (int i = 0; i < 2; i++) {
        base_free_secret(&job->sum[i]);
        base_free_secret(&job->opened[i]);
        base_free_secret(&job->turned[i]);
        if (job->turn[i].job.finish != NULL)
            job->turn[i].job.finish(&job->turn[i].job);
    }
    for (int level = 1; level < job->keys->form.h; level++)
        if (job->additive[level].job.finish != NULL)
            job->additive[level].job.finish(&job->additive[level].job);
}

static enum base_status allocate_keys(struct pair_point_keys *keys, struct base_error *error)
{
    const struct pair_point_form *form = &keys->form;
    enum base_status status;
    TRY(base_alloc(&keys->words, form->count * (size_t)form->h, sizeof(struct pair_block), error));
    TRY(base_alloc(&keys->last, form->count * (size_t)form->groups, sizeof(uint64_t), error));
    TRY(base_alloc(&keys->shift, form->count, sizeof(uint64_t), error));
out:
    if (status != BASE_OK)
        pair_point_keys_finish(keys);
    return status;
}

static enum base_status allocate(struct pair_point *job, struct base_error *error)
{
    const struct pair_point_form *form = &job->keys->form;
    enum base_status status;
    size_t n = form->count, levels = n * (size_t)form->h, words = n * (size_t)form->groups;
    TRY(allocate_keys(job->keys, error));
    TRY(base_alloc(&job->node, n << form->h, sizeof(struct pair_block), error));
    TRY(base_alloc(&job->hashed, n << (form->h - 1), sizeof(struct pair_block), error));
    TRY(base_alloc(&job->half, levels + 1, sizeof(struct pair_block), error));
    TRY(base_alloc(&job->alpha, levels + 1, sizeof(uint64_t), error));
    TRY(base_alloc(&job->product, levels + 1, sizeof(uint64_t), error));
    TRY(base_alloc(&job->sign, n + 1, sizeof(uint64_t), error));
    TRY(base_alloc(&job->base, words + 1, sizeof(uint64_t), error));
    TRY(base_alloc(&job->last, words + 1, sizeof(uint64_t), error));
    for (int i = 0; i < 2; i++) {
        TRY(base_alloc(&job->sum[i], n + 1, sizeof(struct pair_block), error));
        TRY(base_alloc(&job->opened[i], n + 1, sizeof(uint64_t), error));
        TRY(base_alloc(&job->turned[i], words + 1, sizeof(uint64_t), error));
    }
out:
    return status;
}

static bool well_formed(const struct pair_point_form *form)
{
    if (form->count < 1 || form->h < 1 || form->h > PAIR_POINT_MOST_BITS || form->groups < 1 || form->groups > PAIR_MOST_WORDS)
        return false;
    for (int g = 0; g < form->groups; g++)
        if (form->rings[g] < 1 || form->rings[g] > 64)
            return false;
    return true;
}

static enum base_status bad_form(const struct pair_point_form *form, struct base_error *error)
{
    return base_fail(error, BASE_ERR_INTERNAL, "%zu point keys of %d bits with %d words", form->count, form->h, form->groups);
}

enum base_status pair_point_init(struct pair_point *ret, const struct pair_party *p, struct pair_point_form form, const uint64_t *index,
                                 const uint64_t *beta, struct pair_point_keys *ret_keys, struct base_error *error)
{
    enum base_status status;
    *ret_keys = (struct pair_point_keys){.form = form};
    memset(ret, 0, sizeof *ret);
    ret->job.step = step;
    ret->job.finish = finish;
    ret->keys = ret_keys;
    ret->index = index;
    ret->beta = beta;
    if (!well_formed(&form))
        return bad_form(&form, error);
    ret->job.cost = pair_point_cost(form);
    TRY(allocate(ret, error));
    for (int level = 1; level < form.h; level++) {
        size_t at = (size_t)level * form.count;
        TRY(pair_gilboa_init(&ret->additive[level], p, additive_form(&form, level), ret->alpha + at, ret->product + at, error));
    }
    turn_rings(&form, ret->turn_rings);
    for (int d = 0; d < 2; d++) {
        int sender = 1 + d;
        TRY(pair_gilboa_init(&ret->turn[d], p, turn_form(&form, sender, ret->turn_rings), p->id == sender ? ret->base : ret->sign, ret->turned[d],
                             error));
    }
out:
    if (status != BASE_OK) {
        finish(&ret->job);
        pair_point_keys_finish(ret_keys);
    }
    return status;
}

enum base_status pair_point_forward(struct pair_party *p, uint64_t number, struct base_error *error)
{
    if (number < p->next_tree)
        return base_fail(error, BASE_ERR_INTERNAL, "tree number %llu was used: the next one is %llu", (unsigned long long)number,
                         (unsigned long long)p->next_tree);
    p->next_tree = number;
    return BASE_OK;
}

/* --- records ----------------------------------------------------------------------------------------------------------------------- */

size_t pair_point_record_size(const struct pair_point_form *form)
{
    uint64_t size = 8 + 16 * form->count * (uint64_t)form->h + mpc_bits(form->count, form->h);
    for (int g = 0; g < form->groups; g++)
        size += mpc_bits(form->count, form->rings[g]);
    return (size_t)size;
}

void pair_point_pack(const struct pair_party *p, const struct pair_point_keys *keys, uint8_t *ret)
{
    const struct pair_point_form *form = &keys->form;
    size_t n = form->count, words = 2 * n * (size_t)form->h;
    base_store_u64(ret, keys->first_tree);
    ret += 8;
    p->kern->pack_bits(ret, keys->words[0].word, words, 64);
    ret += 8 * words;
    for (int g = 0; g < form->groups; g++) {
        p->kern->pack_bits(ret, keys->last + (size_t)g * n, n, form->rings[g]);
        ret += mpc_bits(n, form->rings[g]);
    }
    p->kern->pack_bits(ret, keys->shift, n, form->h);
}

enum base_status pair_point_unpack(const struct pair_party *p, struct pair_point_form form, const uint8_t *record,
                                   struct pair_point_keys *ret_keys, struct base_error *error)
{
    size_t n = form.count, words = 2 * n * (size_t)form.h;
    uint64_t first = base_load_u64(record);
    if (!well_formed(&form))
        return bad_form(&form, error);
    if (first > p->next_tree || n > p->next_tree - first)
        return base_fail(error, BASE_ERR_FORMAT, "a record holds %zu trees from number %llu on, and %llu were made: it is not of this pair", n,
                         (unsigned long long)first, (unsigned long long)p->next_tree);
    *ret_keys = (struct pair_point_keys){.form = form, .first_tree = first};
    enum base_status status = allocate_keys(ret_keys, error);
    if (status != BASE_OK)
        return status;
    p->kern->unpack_bits(ret_keys->words[0].word, record + 8, words, 64);
    record += 8 + 8 * words;
    for (int g = 0; g < form.groups; g++) {
        p->kern->unpack_bits(ret_keys->last + (size_t)g * n, record, n, form.rings[g]);
        record += mpc_bits(n, form.rings[g]);
    }
    p->kern->unpack_bits(ret_keys->shift, record, n, form.h);
    return BASE_OK;
}

/* --- reading ----------------------------------------------------------------------------------------------------------------------- */

/* Shares of one key from its leaves: +- (word + control last), turned by the shift. */
static void read_leaves(const struct pair_party *p, const struct pair_point_keys *keys, size_t key, const struct pair_block *leaf,
                        struct pair_block *words, uint64_t *ret)
{
    const struct pair_point_form *form = &keys->form;
    size_t all = (size_t)1 << form->h;
    uint64_t sign = p->id == 2, turn = keys->shift[key];
    for (int g = 0; g < form->groups; g++) {
        uint64_t last = keys->last[(size_t)g * form->count + key], keep = kern_ring_mask(form->rings[g]);
        if (g % 2 == 0)
            hash_leaves(p, leaf, all, g / 2, words);
        for (size_t i = 0; i < all; i++) {
            uint64_t value = words[i].word[g % 2] + (last & (0 - (leaf[i].word[0] & 1)));
            ret[(size_t)g * all + ((i + turn) & (all - 1))] = ((value ^ (0 - sign)) + sign) & keep;
        }
    }
}

enum base_status pair_point_expand(struct pair_party *p, const struct pair_point_keys *keys, size_t first, size_t count, uint64_t *ret,
                                   struct base_error *error)
{
    const struct pair_point_form *form = &keys->form;
    enum base_status status;
    size_t all = (size_t)1 << form->h;
    struct pair_block *node = NULL, *hashed = NULL;
    TRY(base_alloc(&node, all, sizeof *node, error));
    TRY(base_alloc(&hashed, all, sizeof *hashed, error));
    for (size_t k = 0; k < count; k++) {
        node[0] = root(p, keys->first_tree + first + k);
        for (int level = 0; level < form->h; level++) {
            hash_level(p, node, (size_t)1 << level, level, hashed);
            grow_level(node, hashed, 1, (size_t)1 << level, keys->words + (size_t)level * form->count + first + k);
        }
        read_leaves(p, keys, first + k, node, hashed, ret + k * (size_t)form->groups * all);
    }
out:
    base_free_secret(&node);
    base_free_secret(&hashed);
    return status;
}
