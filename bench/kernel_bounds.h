/* What slots are measured against: how fast this machine reads, multiplies and encrypts. */
#ifndef CACHET_BENCH_KERNEL_BOUNDS_H
#define CACHET_BENCH_KERNEL_BOUNDS_H

#include "kernels/kern.h"

/* Sums all words of `memory`, over kern_threads() threads: what reading alone takes. */
uint64_t bench_read(const uint64_t *memory, size_t words);
/* OpenSSL's AES-128-CTR over `bytes` of `memory`, under some key. */
uint64_t bench_evp(uint8_t *memory, size_t bytes, const uint8_t key[32]);
/* Multiply-adds of words (64 or 32 bits) in registers, without memory, with the instructions of a level; BENCH_MULTIPLIES of them. */
enum { BENCH_MULTIPLIES = 1 << 22 };
uint64_t bench_multiply(enum kern_level level, enum kern_word word, uint64_t seed);

#endif
