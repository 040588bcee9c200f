#include "pair/ot.h"

void pair_ot_ask(const struct pair_cots *cots, const uint64_t *bit, uint64_t *ret)
{
    for (size_t i = 0; i < cots->count; i++)
        ret[i] = (bit[i] ^ cots->choice[i]) & 1;
}

/* Block `block` of the pads of keys under the COTs' numbers. */
static void pads(const struct pair_party *p, int sender, const struct pair_cots *cots, const struct pair_block *keys, size_t block,
                 struct pair_block *ret)
{
    pair_hash(p, ret, keys, cots->count, cots->first, 1, pair_hash_high(PAIR_HASH_PAD, (uint32_t)(2 * block + (size_t)(sender - 1))));
}

void pair_ot_answer(const struct pair_party *p, int sender, const struct pair_cots *cots, size_t width, const uint64_t *asked,
                    const uint64_t *words, uint64_t *ret_sent, uint64_t *share, struct pair_block *scratch)
{
    size_t n = cots->count;
    struct pair_block delta = pair_delta(p), *other = scratch, *zero = scratch + n, *one = scratch + 2 * n;
    for (size_t i = 0; i < n; i++)
        other[i] = pair_xor(cots->key[i], delta);
    for (size_t g = 0; g < width; g++) {
        if (g % 2 == 0) {
            pads(p, sender, cots, cots->key, g / 2, zero);
            pads(p, sender, cots, other, g / 2, one);
        }
        for (size_t i = 0; i < n; i++) {
            uint64_t k0 = zero[i].word[g % 2], k1 = one[i].word[g % 2], d = (k0 ^ k1) & (0 - asked[i]);
            ret_sent[g * n + i] = (k0 ^ d) - (k1 ^ d) + words[g * n + i];
            share[g * n + i] = 0 - (k0 ^ d);
        }
    }
}

void pair_ot_take(const struct pair_party *p, int sender, const struct pair_cots *cots, size_t width, const uint64_t *bit,
                  const uint64_t *sent, uint64_t *share, struct pair_block *scratch)
{
    size_t n = cots->count;
    for (size_t g = 0; g < width; g++) {
        if (g % 2 == 0)
            pads(p, sender, cots, cots->key, g / 2, scratch);
        for (size_t i = 0; i < n; i++)
            share[g * n + i] = scratch[i].word[g % 2] + (sent[g * n + i] & (0 - (bit[i] & 1)));
    }
}
