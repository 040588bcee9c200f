/* Portable AES-128 without tables. A plane (kernels/scalar/bitslice.h) is a vector of two words: eight blocks at a time. */
#include "kernels/internal.h"

#include "base/memory.h"

enum { GROUP = 8 };

typedef uint64_t plane __attribute__((vector_size(16)));

#define KERN_BITSLICE static inline
#include "kernels/scalar/bitslice.h"

static inline void blocks_in(plane q[8], const struct kern_block in[GROUP])
{
    for (int lane = 0; lane < 2; lane++)
        for (int i = 0; i < 4; i++) {
            const uint64_t *w = in[4 * lane + i].word;
            q[i][lane] = spread((uint32_t)w[0]) | spread((uint32_t)w[1]) << 8;
            q[i + 4][lane] = spread(w[0] >> 32) | spread(w[1] >> 32) << 8;
        }
    transpose(q);
}

static inline void blocks_out(struct kern_block out[GROUP], plane q[8])
{
    transpose(q);
    for (int lane = 0; lane < 2; lane++)
        for (int i = 0; i < 4; i++) {
            uint64_t *w = out[4 * lane + i].word;
            w[0] = gather(q[i][lane]) | gather(q[i + 4][lane]) << 32;
            w[1] = gather(q[i][lane] >> 8) | gather(q[i + 4][lane] >> 8) << 32;
        }
}

static void slice_key(plane ret[11][8], const struct kern_aes_key *key)
{
    for (int r = 0; r < 11; r++) {
        struct kern_block copies[GROUP];
        for (int i = 0; i < GROUP; i++)
            copies[i] = kern_load_block(key->round[r]);
        blocks_in(ret[r], copies);
        base_wipe(copies, sizeof copies);
    }
}

static void encrypt_group(struct kern_block blocks[GROUP], plane key[11][8])
{
    plane q[8];
    blocks_in(q, blocks);
    add_key(q, key[0]);
    for (int r = 1; r < 10; r++) {
        sub_bytes(q);
        shift_rows(q);
        mix_columns(q);
        add_key(q, key[r]);
    }
    sub_bytes(q);
    shift_rows(q);
    add_key(q, key[10]);
    blocks_out(blocks, q);
}

void kern_scalar_aes_encrypt(const struct kern_aes_key *key, const struct kern_block *in, struct kern_block *out,
                             size_t count)
{
    plane sliced[11][8];
    struct kern_block group[GROUP] = {{{0}}};
    slice_key(sliced, key);
    for (size_t i = 0; i < count; i += GROUP) {
        size_t n = count - i < GROUP ? count - i : GROUP;
        memcpy(group, in + i, n * sizeof *group);
        encrypt_group(group, sliced);
        memcpy(out + i, group, n * sizeof *group);
    }
    base_wipe(sliced, sizeof sliced);
    base_wipe(group, sizeof group);
}

static uint32_t sub_word(uint32_t word)
{
    struct kern_block blocks[GROUP] = {{{word}}};
    plane q[8];
    blocks_in(q, blocks);
    sub_bytes(q);
    blocks_out(blocks, q);
    return (uint32_t)blocks[0].word[0];
}

void kern_aes_expand(struct kern_aes_key *ret, const uint8_t key[16])
{
    static const uint8_t constants[10] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36};
    struct kern_block block = kern_load_block(key);
    uint32_t w[4] = {(uint32_t)block.word[0], (uint32_t)(block.word[0] >> 32), (uint32_t)block.word[1],
                     (uint32_t)(block.word[1] >> 32)};
    kern_store_block(ret->round[0], block);
    for (int r = 1; r < 11; r++) {
        w[0] ^= sub_word(w[3] >> 8 | w[3] << 24) ^ constants[r - 1];
        for (int i = 1; i < 4; i++)
            w[i] ^= w[i - 1];
        block.word[0] = w[0] | (uint64_t)w[1] << 32;
        block.word[1] = w[2] | (uint64_t)w[3] << 32;
        kern_store_block(ret->round[r], block);
    }
    base_wipe(w, sizeof w);
    base_wipe(&block, sizeof block);
}

static void stream_group(struct kern_block group[GROUP], plane key[11][8], uint64_t counter, uint64_t block)
{
    for (int i = 0; i < GROUP; i++) {
        group[i].word[0] = __builtin_bswap64(counter);
        group[i].word[1] = __builtin_bswap64(block + (uint64_t)i);
    }
    encrypt_group(group, key);
}

void kern_scalar_prg_fill(const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out,
                          size_t bytes)
{
    plane sliced[11][8];
    struct kern_block group[GROUP];
    uint8_t stream[16 * GROUP];
    slice_key(sliced, key);
    for (size_t at = 0; at < bytes; at += sizeof stream) {
        stream_group(group, sliced, counter, first_block + at / 16);
        for (int i = 0; i < GROUP; i++)
            kern_store_block(stream + 16 * i, group[i]);
        memcpy(out + at, stream, bytes - at < sizeof stream ? bytes - at : sizeof stream);
    }
    base_wipe(sliced, sizeof sliced);
    base_wipe(group, sizeof group);
    base_wipe(stream, sizeof stream);
}

void kern_scalar_prg_words(const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring)
{
    plane sliced[11][8];
    struct kern_block group[GROUP];
    uint64_t mask = kern_ring_mask(ring);
    slice_key(sliced, key);
    for (size_t at = 0; at < count; at += 2 * GROUP) {
        stream_group(group, sliced, counter, at / 2);
        size_t n = count - at < 2 * GROUP ? count - at : 2 * GROUP;
        for (size_t i = 0; i < n; i++)
            out[at + i] = group[i / 2].word[i % 2] & mask;
    }
    base_wipe(sliced, sizeof sliced);
    base_wipe(group, sizeof group);
}
