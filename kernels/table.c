/* One table per level. A family without gain at a level has the function of the level below. */
#include "kernels/fss/core.h"
#ifdef KERN_X86
#include "kernels/avx512/slots.h"

#include <cpuid.h>
#endif

#include <stdbool.h>

/* FSS slots: the algorithms of fss/ bound to the AES core of a level. */
#define FSS_SLOTS(name)                                                                                                \
    static void name##_dpf_generate(const struct kern_dpf_keys *keys, const uint64_t *alpha, const uint64_t *beta,    \
                                    const uint8_t *root0, const uint8_t *root1)                                       \
    {                                                                                                                  \
        kern_fss_dpf_generate(&kern_##name##_fss, keys, alpha, beta, root0, root1);                                    \
    }                                                                                                                  \
    static void name##_dpf_full(const struct kern_dpf_keys *keys, int side, const uint8_t *root, size_t first,        \
                                size_t count, uint64_t *out, void *scratch)                                            \
    {                                                                                                                  \
        kern_fss_dpf_full(&kern_##name##_fss, keys, side, root, first, count, out, scratch);                           \
    }                                                                                                                  \
    static void name##_dpf_point(const struct kern_dpf_keys *keys, int side, const uint8_t *root, const uint64_t *x,  \
                                 uint64_t *out)                                                                        \
    {                                                                                                                  \
        kern_fss_dpf_point(&kern_##name##_fss, keys, side, root, x, out);                                              \
    }                                                                                                                  \
    static void name##_bit_generate(int k, size_t n, const uint64_t *alpha, const uint8_t *root0,                     \
                                    const uint8_t *root1, uint8_t *seed_words, uint8_t *bit_words,                    \
                                    uint8_t *block_words)                                                              \
    {                                                                                                                  \
        kern_fss_bit_generate(&kern_##name##_fss, k, n, alpha, root0, root1, seed_words, bit_words, block_words);      \
    }                                                                                                                  \
    static void name##_bit_less(int k, size_t n, int side, const uint8_t *root, const uint8_t *seed_words,            \
                                const uint8_t *bit_words, const uint8_t *block_words, const uint64_t *x, uint8_t *out) \
    {                                                                                                                  \
        kern_fss_bit_less(&kern_##name##_fss, k, n, side, root, seed_words, bit_words, block_words, x, out);           \
    }                                                                                                                  \
    static void name##_dcf_generate(const struct kern_dcf_keys *keys, const uint64_t *alpha, const uint64_t *beta,    \
                                    const uint8_t *root0, const uint8_t *root1)                                       \
    {                                                                                                                  \
        kern_fss_dcf_generate(&kern_##name##_fss, keys, alpha, beta, root0, root1);                                    \
    }                                                                                                                  \
    static void name##_dcf_eval(const struct kern_dcf_keys *keys, int side, const uint8_t *root, const uint64_t *x,   \
                                size_t points, uint64_t *out)                                                          \
    {                                                                                                                  \
        kern_fss_dcf_eval(&kern_##name##_fss, keys, side, root, x, points, out);                                       \
    }                                                                                                                  \
    static void name##_hash_tweaked(uint8_t *out, const uint8_t *in, size_t count, uint64_t low, uint64_t step,       \
                                    uint64_t high)                                                                     \
    {                                                                                                                  \
        kern_fss_hash_tweaked(&kern_##name##_fss, out, in, count, low, step, high);                                    \
    }

#define FSS_FIELDS(name)                                                                                               \
    .dpf_generate = name##_dpf_generate, .dpf_full = name##_dpf_full, .dpf_point = name##_dpf_point,                   \
    .bit_generate = name##_bit_generate, .bit_less = name##_bit_less, .dcf_generate = name##_dcf_generate,             \
    .dcf_eval = name##_dcf_eval, .hash_tweaked = name##_hash_tweaked

FSS_SLOTS(scalar)

static const struct kern_table scalar_table = {
    .level = KERN_LEVEL_SCALAR,
    .gemm = {kern_scalar_gemm64, kern_scalar_gemm48, kern_scalar_gemm32},
    .combine32 = kern_scalar_combine32,
    .dot = kern_scalar_dot,
    .prg_fill = kern_scalar_prg_fill,
    .prg_words = kern_scalar_prg_words,
    FSS_FIELDS(scalar),
    .pack_bits = kern_scalar_pack_bits,
    .unpack_bits = kern_scalar_unpack_bits,
    .unpack_add = kern_scalar_unpack_add,
    .round_shift = kern_scalar_round_shift,
    .grid_dot = kern_scalar_grid_dot,
    .segment_dot = kern_scalar_segment_dot,
    .turn_add = kern_scalar_turn_add,
    .power_words = kern_scalar_power_words,
};

#ifdef KERN_X86
FSS_SLOTS(avx2)

/* What the AVX2 level and the one with wider AES have in common. */
#define AVX2_SLOTS                                                                                                      \
    .gemm = {kern_avx2_gemm64, kern_avx2_gemm48, kern_avx2_gemm32},                                                    \
    .combine32 = kern_avx2_combine32,                                                                                  \
    .dot = kern_avx2_dot,                                                                                              \
    FSS_FIELDS(avx2),                                                                                                  \
    .pack_bits = kern_scalar_pack_bits,                                                                                \
    .unpack_bits = kern_avx2_unpack_bits,                                                                              \
    .unpack_add = kern_avx2_unpack_add,                                                                                \
    .round_shift = kern_avx2_round_shift,                                                                              \
    .grid_dot = kern_scalar_grid_dot,                                                                                  \
    .segment_dot = kern_avx2_segment_dot,                                                                              \
    .turn_add = kern_avx2_turn_add,                                                                                    \
    .power_words = kern_avx2_power_words

static const struct kern_table avx2_table = {
    .level = KERN_LEVEL_AVX2,
    .prg_fill = kern_avx2_prg_fill,
    .prg_words = kern_avx2_prg_words,
    AVX2_SLOTS,
};

static const struct kern_table vaes_table = {
    .level = KERN_LEVEL_VAES,
    .prg_fill = kern_vaes_prg_fill,
    .prg_words = kern_vaes_prg_words,
    AVX2_SLOTS,
};

FSS_SLOTS(avx512)

static const struct kern_table avx512_table = {
    .level = KERN_LEVEL_AVX512,
    .gemm = {kern_avx512_gemm64, kern_avx512_gemm48, kern_avx512_gemm32},
    .combine32 = kern_avx512_combine32,
    .dot = kern_avx512_dot,
    .prg_fill = kern_avx512_prg_fill,
    .prg_words = kern_avx512_prg_words,
    FSS_FIELDS(avx512),
    .pack_bits = kern_scalar_pack_bits,
    .unpack_bits = kern_avx2_unpack_bits,
    .unpack_add = kern_avx2_unpack_add,
    .round_shift = kern_avx2_round_shift,
    .grid_dot = kern_scalar_grid_dot,
    .segment_dot = kern_avx512_segment_dot,
    .turn_add = kern_avx512_turn_add,
    .power_words = kern_avx512_power_words,
};

/* Bit 9 of ecx of leaf 7. Not every compiler of ours knows it as a feature name. */
static bool cpu_offers_vaes(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && c >> 9 & 1;
}

/* The builtins also ask whether the operating system saves the wide registers. */
static bool cpu_offers(enum kern_level level)
{
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("aes");
    if (level == KERN_LEVEL_AVX2)
        return avx2;
    if (level == KERN_LEVEL_VAES)
        return avx2 && cpu_offers_vaes();
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && cpu_offers_vaes();
}

static const struct kern_table *const wide_tables[] = {&avx512_table, &vaes_table, &avx2_table};
#endif

const struct kern_table *kern_table_select(unsigned mask)
{
#ifdef KERN_X86
    for (size_t i = 0; i < sizeof wide_tables / sizeof *wide_tables; i++)
        if (mask >> wide_tables[i]->level & 1 && cpu_offers(wide_tables[i]->level))
            return wide_tables[i];
#endif
    return &scalar_table;
}

unsigned kern_mask_up_to(const char *name)
{
    for (unsigned level = 0; level < KERN_LEVEL_COUNT; level++)
        if (level != KERN_LEVEL_CUDA && strcmp(kern_level_name((enum kern_level)level), name) == 0)
            return (2u << level) - 1;
    return 0;
}

const char *kern_level_name(enum kern_level level)
{
    switch (level) {
    case KERN_LEVEL_SCALAR:
        return "scalar";
    case KERN_LEVEL_AVX2:
        return "avx2";
    case KERN_LEVEL_VAES:
        return "vaes";
    case KERN_LEVEL_AVX512:
        return "avx512";
    case KERN_LEVEL_CUDA:
        return "cuda";
    case KERN_LEVEL_COUNT:
        break;
    }
    return "unknown";
}
