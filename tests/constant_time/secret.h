/* Secrets as undefined memory: memcheck follows undefined bits through every operation and reports a conditional jump or an address
 * that depends on one. What is undefined here is a share, a mask, a key or a seed; its value is a valid one all the same.
 *
 * Memcheck sees jumps and addresses; it does not see the operands of a division (divisions.pl looks at those). */
#ifndef CACHET_TESTS_CONSTANT_TIME_SECRET_H
#define CACHET_TESTS_CONSTANT_TIME_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <valgrind/memcheck.h>

/* Answers of a program: passed, failed, and what the test runner takes as skipped. */
enum { PASSED = 0, FAILED = 1, SKIPPED = 77 };

static inline void make_secret(const void *memory, size_t size)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(memory, size);
}

static inline void make_public(const void *memory, size_t size)
{
    (void)VALGRIND_MAKE_MEM_DEFINED(memory, size);
}

/* Whether any bit of it is secret. Asks without a report. */
static inline bool is_secret(const void *memory, size_t size)
{
    const uint8_t *at = memory;
    uint8_t bits[64];
    for (size_t n; size > 0; at += n, size -= n) {
        n = size < sizeof bits ? size : sizeof bits;
        memset(bits, 0, sizeof bits);
        (void)VALGRIND_GET_VBITS(at, bits, n);
        for (size_t i = 0; i < n; i++)
            if (bits[i] != 0)
                return true;
    }
    return false;
}

/* Jumps and addresses reported so far. */
static inline unsigned reports(void)
{
    return (unsigned)VALGRIND_COUNT_ERRORS;
}

static inline bool can_watch(void)
{
    if (RUNNING_ON_VALGRIND)
        return true;
    (void)fprintf(stderr, "skipped: nothing watches for secrets; run this under valgrind (under_valgrind.sh)\n");
    return false;
}

#endif
