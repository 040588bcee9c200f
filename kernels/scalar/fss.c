/* The core of FSS keys over the portable AES. */
#include "kernels/fss/core.h"

#include "base/memory.h"

enum { CHUNK = 64 };

static void fixed_key(struct kern_aes_key *ret, enum kern_fss_key key)
{
    for (int r = 0; r < 11; r++)
        memcpy(ret->round[r], kern_fss_round_keys[r][key], 16);
}

static void hash(enum kern_fss_key key, const struct kern_block *in, struct kern_block *out, size_t count)
{
    struct kern_aes_key schedule;
    struct kern_block copy[CHUNK];
    fixed_key(&schedule, key);
    for (size_t at = 0; at < count; at += CHUNK) {
        size_t n = count - at < CHUNK ? count - at : CHUNK;
        memcpy(copy, in + at, n * sizeof *copy);
        kern_scalar_aes_encrypt(&schedule, copy, out + at, n);
        for (size_t i = 0; i < n; i++) {
            out[at + i].word[0] ^= copy[i].word[0];
            out[at + i].word[1] ^= copy[i].word[1];
        }
    }
    base_wipe(copy, sizeof copy);
}

static inline struct kern_block corrected(struct kern_block child, struct kern_block node,
                                          const struct kern_block *correction)
{
    uint64_t control = kern_bit_mask(node.word[0] & 1);
    child.word[0] ^= control & correction->word[0];
    child.word[1] ^= control & correction->word[1];
    return child;
}

static void expand(const struct kern_block *in, struct kern_block *out, size_t parents,
                   const struct kern_block (*words)[2], int shift)
{
    struct kern_block seeds[CHUNK], children[2][CHUNK];
    for (size_t at = 0; at < parents; at += CHUNK) {
        size_t n = parents - at < CHUNK ? parents - at : CHUNK;
        for (size_t i = 0; i < n; i++)
            seeds[i] = kern_fss_seed(in[at + i]);
        hash(KERN_FSS_LEFT, seeds, children[0], n);
        hash(KERN_FSS_RIGHT, seeds, children[1], n);
        for (size_t i = 0; i < n; i++)
            for (int side = 0; side < 2; side++)
                out[2 * (at + i) + (size_t)side] =
                    corrected(children[side][i], in[at + i], &words[(at + i) >> shift][side]);
    }
    base_wipe(seeds, sizeof seeds);
    base_wipe(children, sizeof children);
}

static void leaf(const struct kern_fss_leaf *job)
{
    kern_fss_leaf_any(&kern_scalar_fss, job);
}

static inline const struct kern_block *lane_level(const struct kern_fss_walk *job, size_t lane, int level)
{
    size_t at = (size_t)level * (size_t)(2 + job->value_blocks);
    return job->program + (job->offset == NULL ? 0 : job->offset[lane]) + at;
}

static inline int lane_side(const struct kern_fss_walk *job, size_t lane, int level)
{
    return (int)(job->x[lane] >> (job->k - 1 - level) & 1);
}

/* The lanes of [at, at + CHUNK) that go to `side` at this level: points are public. */
static size_t pick_lanes(const struct kern_fss_walk *job, size_t at, int level, int side, size_t picked[CHUNK],
                         struct kern_block seeds[CHUNK])
{
    size_t n = 0;
    for (size_t i = at; i < job->lanes && i < at + CHUNK; i++)
        if (lane_side(job, i, level) == side) {
            picked[n] = i;
            seeds[n++] = kern_fss_seed(job->state[i]);
        }
    return n;
}

static void step_values(const struct kern_fss_walk *job, int level, int side, const size_t *picked,
                        const struct kern_block *seeds, size_t count)
{
    struct kern_block words[CHUNK];
    for (int j = 0; j < job->value_blocks; j++) {
        for (size_t i = 0; i < count; i++)
            words[i] = kern_fss_counted(seeds[i], j + 1);
        hash(side ? KERN_FSS_VALUE_RIGHT : KERN_FSS_VALUE_LEFT, words, words, count);
        for (size_t i = 0; i < count; i++) {
            const struct kern_block *word = lane_level(job, picked[i], level) + 2 + j;
            struct kern_block *value = &job->value[picked[i] * (size_t)job->value_blocks + (size_t)j];
            uint64_t control = kern_bit_mask(job->state[picked[i]].word[0] & 1);
            value->word[0] += words[i].word[0] + (control & word->word[0]);
            value->word[1] += words[i].word[1] + (control & word->word[1]);
        }
    }
    base_wipe(words, sizeof words);
}

/* Control bits of the left children of lanes that go right. */
static void step_prefix(const struct kern_fss_walk *job, int level, const size_t *picked,
                        const struct kern_block *seeds, size_t count)
{
    struct kern_block left[CHUNK];
    hash(KERN_FSS_LEFT, seeds, left, count);
    for (size_t i = 0; i < count; i++) {
        struct kern_block child = corrected(left[i], job->state[picked[i]], lane_level(job, picked[i], level));
        job->prefix[picked[i]] ^= (uint8_t)(child.word[0] & 1);
    }
    base_wipe(left, sizeof left);
}

static void walk(const struct kern_fss_walk *job)
{
    size_t picked[2][CHUNK], count[2];
    struct kern_block seeds[2][CHUNK];
    for (size_t at = 0; at < job->lanes; at += CHUNK)
        for (int level = job->from; level < job->to; level++) {
            for (int side = 0; side < 2; side++)
                count[side] = pick_lanes(job, at, level, side, picked[side], seeds[side]);
            for (int side = 0; side < 2; side++) {
                if (job->value != NULL)
                    step_values(job, level, side, picked[side], seeds[side], count[side]);
                if (job->prefix != NULL && side == 1)
                    step_prefix(job, level, picked[1], seeds[1], count[1]);
                hash(side ? KERN_FSS_RIGHT : KERN_FSS_LEFT, seeds[side], seeds[side], count[side]);
                for (size_t i = 0; i < count[side]; i++) {
                    size_t lane = picked[side][i];
                    job->state[lane] =
                        corrected(seeds[side][i], job->state[lane], lane_level(job, lane, level) + side);
                }
            }
        }
    base_wipe(seeds, sizeof seeds);
}

const struct kern_fss_core kern_scalar_fss = {
    .hash = hash,
    .expand = expand,
    .leaf = leaf,
    .walk = walk,
    .walk_prefix = walk,
    .walk_value = walk,
};
