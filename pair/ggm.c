#include "pair/ggm.h"

#include "base/memory.h"

/* Children of `parents` nodes: left[i], right[i]. */
static void children(const struct pair_party *p, bool half, const struct pair_block *nodes, size_t parents, int level, struct pair_block *left,
                     struct pair_block *right)
{
    if (half) {
        pair_hash(p, left, nodes, parents, (uint64_t)level, 0, pair_hash_high(PAIR_HASH_HALF, 0));
        for (size_t i = 0; i < parents; i++)
            right[i] = pair_xor(nodes[i], left[i]);
        return;
    }
    pair_hash(p, left, nodes, parents, (uint64_t)level, 0, pair_hash_high(PAIR_HASH_LEFT, 0));
    pair_hash(p, right, nodes, parents, (uint64_t)level, 0, pair_hash_high(PAIR_HASH_RIGHT, 0));
}

/* The first level of half-trees from random left nodes, in the places of the roots. */
static void first_level(size_t n, const struct pair_block *delta, const struct pair_block *roots, struct pair_block *left, struct pair_block *right)
{
    for (size_t t = 0; t < n; t++) {
        left[t] = roots[t];
        right[t] = pair_xor(roots[t], *delta);
    }
}

enum base_status pair_ggm_grow(struct pair_party *p, size_t n, int h, const struct pair_block *delta, struct pair_block *ret_leaves,
                               struct pair_block (*ret_sums)[2], struct base_error *error)
{
    enum base_status status;
    struct pair_block *left = NULL, *right;
    size_t parents = (n << h) / 2;
    TRY(base_alloc(&left, parents == 0 ? 1 : 2 * parents, sizeof *left, error));
    right = left + parents;
    mpc_stream_bytes(&p->own, (uint8_t *)ret_leaves, n * sizeof *ret_leaves);
    for (int level = 0; level < h; level++) {
        size_t width = (size_t)1 << level;
        if (delta != NULL && level == 0)
            first_level(n, delta, ret_leaves, left, right);
        else
            children(p, delta != NULL, ret_leaves, n * width, level, left, right);
        for (size_t t = 0; t < n; t++) {
            struct pair_block sum[2] = {{{0}}, {{0}}};
            for (size_t i = t * width; i < (t + 1) * width; i++) {
                ret_leaves[2 * i] = left[i];
                ret_leaves[2 * i + 1] = right[i];
                sum[0] = pair_xor(sum[0], left[i]);
                sum[1] = pair_xor(sum[1], right[i]);
            }
            ret_sums[(size_t)level * n + t][0] = sum[0];
            ret_sums[(size_t)level * n + t][1] = sum[1];
        }
    }
out:
    base_free_secret(&left);
    return status;
}

/* One level of one tree: relative place y has the path's side at 2 y and the other one at 2 y + 1. */
static void level_around(uint64_t bit, struct pair_block sum, const struct pair_block *left, const struct pair_block *right, size_t width,
                         struct pair_block *ret)
{
    for (size_t y = 1; y < width; y++) {
        struct pair_block a = left[y], b = right[y];
        pair_swap_if(&a, &b, bit);
        ret[2 * y] = a;
        ret[2 * y + 1] = b;
        sum = pair_xor(sum, b);
    }
    ret[0] = (struct pair_block){{0}};
    ret[1] = sum;
}

enum base_status pair_ggm_grow_around(struct pair_party *p, size_t n, int h, bool half, const uint64_t *path, const struct pair_block *sums,
                                      struct pair_block *ret_leaves, struct base_error *error)
{
    enum base_status status;
    struct pair_block *left = NULL, *right;
    size_t parents = (n << h) / 2;
    TRY(base_alloc(&left, parents == 0 ? 1 : 2 * parents, sizeof *left, error));
    right = left + parents;
    for (size_t t = 0; t < n; t++)
        ret_leaves[t] = (struct pair_block){{0}};
    for (int level = 0; level < h; level++) {
        size_t width = (size_t)1 << level;
        children(p, half, ret_leaves, n * width, level, left, right);
        for (size_t t = 0; t < n; t++)
            level_around(pair_path_bit(path[t], h, level), sums[(size_t)level * n + t], left + t * width, right + t * width, width,
                         ret_leaves + 2 * t * width);
    }
out:
    base_free_secret(&left);
    return status;
}

void pair_ggm_absolute(size_t n, int h, const uint64_t *path, struct pair_block *leaves)
{
    size_t all = (size_t)1 << h;
    for (size_t t = 0; t < n; t++)
        for (int b = 0; b < h; b++) {
            uint64_t bit = path[t] >> b & 1;
            size_t reach = (size_t)1 << b;
            for (size_t y = 0; y < all; y++)
                if ((y & reach) == 0)
                    pair_swap_if(&leaves[t * all + y], &leaves[t * all + y + reach], bit);
        }
}
