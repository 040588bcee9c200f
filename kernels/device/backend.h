/* What kernels/device/ asks of an accelerator's code. Every function answers BASE_OK, BASE_ERR_SUPPORT (this call is none for the device,
 * nothing happened) or a failure, after which the device is not used again.
 * Slots write all of their output or, where it may also be their input (unpack_add, turn_add, combine32, hash_tweaked, round_shift), none of
 * it. */
#ifndef CACHET_KERNELS_DEVICE_BACKEND_H
#define CACHET_KERNELS_DEVICE_BACKEND_H

#include "kernels/device.h"
#include "kernels/gather.h"

/* One product; `placed` NULL: w is in host memory alone. Otherwise w is row `first` of it, or the beginnings of its rows, and before the product
 * the part `stale` of it is made what the host has from `host`, its row 0, on (no rows: nothing). */
struct kern_product {
    enum kern_word word;
    uint64_t *y;
    size_t y_stride;
    const void *a;
    size_t a_stride, rows;
    const void *w;
    size_t w_stride, outs, inner;
    void *placed;
    size_t first;
    struct kern_part stale;
    const void *host;
};

/* Elements of one call of an elementwise slot, a multiple of eight, and blocks of one hash_tweaked; slots.c cuts longer ones. */
enum { KERN_DEVICE_CHUNK = 1 << 18 };

struct kern_backend {
    const char *name;
    enum base_status (*open)(void **ret, int index, size_t work_bytes, struct base_error *error);
    void (*close)(void *device);
    void (*describe)(void *device, char *text, size_t size);
    enum base_status (*place)(void *device, void **ret, const struct kern_product *matrix, enum kern_placing how, struct base_error *error);
    void (*forget)(void *device, void *placed);
    enum base_status (*wipe)(void *device, void *placed, struct base_error *error);
    size_t (*placed_bytes)(enum kern_word word, size_t outs, size_t inner, bool limbs);
    enum base_status (*memory)(void *device, size_t *ret_free, size_t *ret_total, struct base_error *error);
    /* Adds up what it did so far: waits, launches and copies of *counts. */
    void (*count)(const void *device, struct kern_device_counts *counts);
    enum base_status (*host_alloc)(void *device, void **ret, size_t bytes, struct base_error *error);
    void (*host_free)(void *device, void *memory, size_t bytes);

    /* Ways of multiplying, numbered from 0; `choose` says which one products of more than four rows take from now on, -1: none. */
    int ways;
    const char *(*way_name)(int way);
    bool (*way_offered)(void *device, int way);
    void (*choose)(void *device, int way);

    enum base_status (*gemm)(void *device, const struct kern_product *job, struct base_error *error);
    /* What is started stays under way: its outputs come with the next call that ends, or with `finish`, and with the failure of any of these not at all.
     * Inputs are read at once. BASE_ERR_SUPPORT of any call: not beside what is under way, which goes on, or not at all.
     * start: a product with a placed matrix. bring: the part `stale` of one. prg, dcf_eval, pack_bits, unpack, grid_sums, segment_sums: with `later`. */
    enum base_status (*start)(void *device, const struct kern_product *job, struct base_error *error);
    enum base_status (*bring)(void *device, const struct kern_product *job, struct base_error *error);
    enum base_status (*finish)(void *device, struct base_error *error);
    /* table: [outs][inner] words of 32 bits without gaps, placed or not; y [rows][inner], a [rows][outs]. */
    enum base_status (*combine32)(void *device, uint32_t *y, const uint32_t *a, size_t a_stride, size_t rows, const struct kern_product *table,
                                  struct base_error *error);
    enum base_status (*dot)(void *device, uint64_t *ret, const uint64_t *a, const uint64_t *b, size_t count, struct base_error *error);
    enum base_status (*prg)(void *device, const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out, size_t bytes,
                            uint64_t mask, bool later, struct base_error *error);
    enum base_status (*hash_tweaked)(void *device, uint8_t *out, const uint8_t *in, size_t count, uint64_t low, uint64_t step, uint64_t high,
                                     struct base_error *error);
    enum base_status (*dpf_generate)(void *device, const struct kern_dpf_keys *keys, const uint64_t *alpha, const uint64_t *beta,
                                     const uint8_t *root0, const uint8_t *root1, struct base_error *error);
    enum base_status (*dpf_full)(void *device, const struct kern_dpf_keys *keys, int side, const uint8_t *root, size_t first, size_t count,
                                 uint64_t *out, struct base_error *error);
    enum base_status (*dpf_point)(void *device, const struct kern_dpf_keys *keys, int side, const uint8_t *root, const uint64_t *x,
                                  uint64_t *out, struct base_error *error);
    enum base_status (*bit_generate)(void *device, int k, size_t n, const uint64_t *alpha, const uint8_t *root0, const uint8_t *root1,
                                     uint8_t *seed_words, uint8_t *bit_words, uint8_t *block_words, struct base_error *error);
    enum base_status (*bit_less)(void *device, int k, size_t n, int side, const uint8_t *root, const uint8_t *seed_words,
                                 const uint8_t *bit_words, const uint8_t *block_words, const uint64_t *x, uint8_t *out,
                                 struct base_error *error);
    enum base_status (*dcf_generate)(void *device, const struct kern_dcf_keys *keys, const uint64_t *alpha, const uint64_t *beta,
                                     const uint8_t *root0, const uint8_t *root1, struct base_error *error);
    enum base_status (*dcf_eval)(void *device, const struct kern_dcf_keys *keys, int side, const uint8_t *root, const uint64_t *x,
                                 size_t points, uint64_t *out, bool later, struct base_error *error);
    enum base_status (*pack_bits)(void *device, uint8_t *out, const uint64_t *in, size_t count, int ring, bool later, struct base_error *error);
    /* unpack_bits, or with `add` unpack_add */
    enum base_status (*unpack)(void *device, uint64_t *out, const uint8_t *in, size_t count, int ring, bool add, bool later, struct base_error *error);
    enum base_status (*round_shift)(void *device, uint64_t *z, const uint64_t *x, size_t count, int ring, int f, struct base_error *error);
    enum base_status (*grid_dot)(void *device, uint64_t *ret, const uint64_t *hot, const uint64_t *table, uint64_t m, int h, int s,
                                 struct base_error *error);
    enum base_status (*segment_dot)(void *device, uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
                                    int triples, struct base_error *error);
    enum base_status (*turn_add)(void *device, uint64_t *share, const uint64_t *word, const uint64_t *m, size_t n,
                                 const struct kern_turn *turn, struct base_error *error);
    enum base_status (*power_words)(void *device, uint64_t *out, const uint64_t *words, size_t stride, int limbs, const uint64_t *m, size_t n,
                                    const struct base_exact_power *factor, int s, struct base_error *error);
    /* What kern_grid_sums and kern_segment_sums give; table: one row of 64-bit words, placed or not. */
    enum base_status (*grid_sums)(void *device, const struct kern_gate_keys *gate, const struct kern_product *table, int s, uint64_t *out,
                                  bool later, struct base_error *error);
    enum base_status (*segment_sums)(void *device, const struct kern_gate_keys *gate, const struct kern_product *table, int s, uint64_t *out,
                                     bool later, struct base_error *error);
};

/* CUDA's, or NULL in builds without it. */
const struct kern_backend *kern_cuda_backend(void);

/* kern_device_open with a given backend. */
BASE_MUST_USE enum base_status kern_device_open_backend(struct kern_device **ret, const struct kern_backend *backend, int index,
                                                        const struct kern_device_options *options, struct base_error *error);

#endif
