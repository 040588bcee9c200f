/* The slots of this folder, as kernels/device/backend.h describes them. */
#ifndef CACHET_KERNELS_CUDA_SLOTS_CUH
#define CACHET_KERNELS_CUDA_SLOTS_CUH

#include "kernels/cuda/runtime.cuh"

namespace KERN_CUDA_NAMESPACE {

enum base_status place(void *device, void **ret, const struct kern_product *matrix, enum kern_placing how, struct base_error *error);
void forget(void *device, void *placed);
enum base_status wipe(void *device, void *placed, struct base_error *error);
size_t placed_bytes(enum kern_word word, size_t outs, size_t inner, bool limbs);
bool way_offered(void *device, int way);
enum base_status gemm(void *device, const struct kern_product *job, struct base_error *error);
enum base_status start(void *device, const struct kern_product *job, struct base_error *error);
enum base_status bring(void *device, const struct kern_product *job, struct base_error *error);
enum base_status finish(void *device, struct base_error *error);
enum base_status prg(void *device, const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out, size_t bytes,
                     uint64_t mask, bool later, struct base_error *error);
enum base_status hash_tweaked(void *device, uint8_t *out, const uint8_t *in, size_t count, uint64_t low, uint64_t step, uint64_t high,
                              struct base_error *error);
enum base_status dpf_generate(void *device, const struct kern_dpf_keys *keys, const uint64_t *alpha, const uint64_t *beta,
                              const uint8_t *root0, const uint8_t *root1, struct base_error *error);
enum base_status dpf_full(void *device, const struct kern_dpf_keys *keys, int side, const uint8_t *root, size_t first, size_t count,
                          uint64_t *out, struct base_error *error);
enum base_status dpf_point(void *device, const struct kern_dpf_keys *keys, int side, const uint8_t *root, const uint64_t *x, uint64_t *out,
                           struct base_error *error);
enum base_status bit_generate(void *device, int k, size_t n, const uint64_t *alpha, const uint8_t *root0, const uint8_t *root1,
                              uint8_t *seed_words, uint8_t *bit_words, uint8_t *block_words, struct base_error *error);
enum base_status bit_less(void *device, int k, size_t n, int side, const uint8_t *root, const uint8_t *seed_words, const uint8_t *bit_words,
                          const uint8_t *block_words, const uint64_t *x, uint8_t *out, struct base_error *error);
enum base_status dcf_generate(void *device, const struct kern_dcf_keys *keys, const uint64_t *alpha, const uint64_t *beta,
                              const uint8_t *root0, const uint8_t *root1, struct base_error *error);
enum base_status dcf_eval(void *device, const struct kern_dcf_keys *keys, int side, const uint8_t *root, const uint64_t *x, size_t points,
                          uint64_t *out, bool later, struct base_error *error);
enum base_status pack_bits(void *device, uint8_t *out, const uint64_t *in, size_t count, int ring, bool later, struct base_error *error);
enum base_status unpack(void *device, uint64_t *out, const uint8_t *in, size_t count, int ring, bool add, bool later, struct base_error *error);
enum base_status round_shift(void *device, uint64_t *z, const uint64_t *x, size_t count, int ring, int f, struct base_error *error);
enum base_status dot(void *device, uint64_t *ret, const uint64_t *a, const uint64_t *b, size_t count, struct base_error *error);
enum base_status combine32(void *device, uint32_t *y, const uint32_t *a, size_t a_stride, size_t rows, const struct kern_product *table,
                           struct base_error *error);
enum base_status grid_dot(void *device, uint64_t *ret, const uint64_t *hot, const uint64_t *table, uint64_t m, int h, int s,
                          struct base_error *error);
enum base_status segment_dot(void *device, uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
                             int triples, struct base_error *error);
enum base_status turn_add(void *device, uint64_t *share, const uint64_t *word, const uint64_t *m, size_t n, const struct kern_turn *turn,
                          struct base_error *error);
enum base_status power_words(void *device, uint64_t *out, const uint64_t *words, size_t stride, int limbs, const uint64_t *m, size_t n,
                             const struct base_exact_power *factor, int s, struct base_error *error);
enum base_status gate_grid(void *device, const struct kern_gate_keys *gate, const struct kern_product *table, int s, uint64_t *out,
                           bool later, struct base_error *error);
enum base_status gate_segment(void *device, const struct kern_gate_keys *gate, const struct kern_product *table, int s, uint64_t *out,
                              bool later, struct base_error *error);

}

#endif
