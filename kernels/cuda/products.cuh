/* Products: what the ways of multiplying share.
 *
 * Words on the device: rows of little-endian words, row_words(inner) of them (a multiple of eight, so that rows start at 16 bytes), zeros behind
 * activations. Limbs (kernels/limb/limb.h): rows of `limbs` planes of plane_bytes(inner) each, zeros behind the last element; activations
 * upwards, weights downwards. Rows of limbs are padded to a multiple of LIMB_ROWS with zeros. */
#ifndef CACHET_KERNELS_CUDA_PRODUCTS_CUH
#define CACHET_KERNELS_CUDA_PRODUCTS_CUH

#include "kernels/cuda/runtime.cuh"

namespace KERN_CUDA_NAMESPACE {

enum {
    LIMB_ROWS = 16,
    PLANE_UNIT = 128,     /* of a plane: the longest step of a kernel */
    FEW_ROWS = 4,         /* products of up to so many rows read words, others limbs */
    FOLD_BYTES = 1 << 16, /* sums of 32 bits are exact over so many products of limbs: 2^16 2^14 < 2^31 */
};

struct placed {
    uint8_t *words;
    int8_t *limbs; /* or NULL */
    size_t words_bytes, limbs_bytes;
    size_t stride, inner; /* of a row of words, in bytes; elements of it */
    bool changed;         /* since the limbs were made */
};

static inline size_t row_words(size_t inner)
{
    return round_up(inner, 8);
}

static inline size_t plane_bytes(size_t inner)
{
    return round_up(inner, PLANE_UNIT);
}

static inline size_t activation_bytes(enum kern_word word)
{
    return word == KERN_WORD_32 ? 4 : 8;
}

/* Limbs of `rows` rows of `inner` words, `stride` bytes apart, each element `bytes` long. */
void split_rows(struct call *call, int8_t *limbs, enum kern_word word, bool down, const uint8_t *words, size_t stride, size_t bytes, size_t rows,
                size_t inner);

/* y[r * y_stride + o], rows <= FEW_ROWS, mod 2^64 (the word's bits of it are right). a_words: elements from row to row of a. */
void few_rows(struct call *call, enum kern_word word, uint64_t *y, size_t y_stride, const void *a, size_t a_words, size_t rows,
              const uint8_t *w, size_t w_stride, size_t outs, size_t inner);

/* One product over limbs, by three ways. y[r * y_stride + o] reduced to the word's bits; a and w have padded rows. */
struct limb_product {
    uint64_t *y;
    size_t y_stride;
    const int8_t *a;
    size_t rows;
    const int8_t *w;
    size_t outs, plane; /* bytes of one plane */
    int limbs;
    uint64_t mask;
};

void mma_product(struct call *call, const struct limb_product *p);
void wgmma_product(struct call *call, const struct limb_product *p);
/* sums: room for limbs * padded rows * padded outs sums. Exact up to kern_limb_max_inner. */
void library_limb_product(struct call *call, const struct limb_product *p, int32_t *sums);

}

#endif
