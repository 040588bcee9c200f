#include "kernels/fss/core.h"

#include "base/memory.h"

/* Leaf `leaf` of key `key`, converted to `words`, becomes entries of every group. */
static void finish_leaf(const struct kern_fss_leaf *job, size_t key, size_t leaf, const struct kern_block *words,
                        uint64_t control)
{
    size_t copies = (size_t)job->copies, groups = (size_t)job->groups, width = copies << job->levels;
    uint64_t sign = kern_bit_mask((uint64_t)job->side);
    for (size_t g = 0; g < groups; g++) {
        const uint64_t *final = job->final + g * job->final_stride + key * copies;
        uint64_t *out = job->out + (key * groups + g) * width + leaf * copies;
        for (size_t c = 0; c < copies; c++) {
            size_t at = c * groups + g;
            uint64_t value = words[at / 2].word[at % 2] + (control & final[c]);
            out[c] = ((value ^ sign) - sign) & job->masks[g];
        }
    }
}

void kern_fss_leaf_any(const struct kern_fss_core *core, const struct kern_fss_leaf *job)
{
    struct kern_block words[KERN_FSS_MAX_BLOCKS];
    size_t blocks = (size_t)(job->copies * job->groups + 1) / 2, step = KERN_FSS_MAX_BLOCKS / blocks;
    size_t leaves = job->keys << job->levels;
    for (size_t at = 0; at < leaves; at += step) {
        size_t n = leaves - at < step ? leaves - at : step;
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < blocks; j++)
                words[i * blocks + j] = kern_fss_counted(kern_fss_seed(job->leaves[at + i]), (int)j + 1);
        core->hash(KERN_FSS_LEAF, words, words, n * blocks);
        for (size_t i = 0; i < n; i++)
            finish_leaf(job, (at + i) >> job->levels, (at + i) & (((size_t)1 << job->levels) - 1), words + i * blocks,
                        kern_bit_mask(job->leaves[at + i].word[0] & 1));
    }
    base_wipe(words, sizeof words);
}
