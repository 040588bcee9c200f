/* Public tables of correctly rounded integers: the same on every machine by construction.
 *
 * Everything is integer arithmetic (GMP): square roots and products of fixed-point numbers of 192 fraction
 * bits. The error of an entry is below 2^-152; an entry whose distance to a rounding boundary is not above
 * that is refused, so what is returned is the nearest integer to the real number and does not follow from how
 * it was computed. Arguments are public: the time depends on them. After a failure `ret` holds nothing of use. */
#ifndef CACHET_BASE_EXACT_H
#define CACHET_BASE_EXACT_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { BASE_EXACT_MOST_POINT = 96, BASE_EXACT_MOST_BITS = 30, BASE_EXACT_MOST_LOG = 20 };

/* About mantissa 2^-shift. */
struct base_exact_power {
    uint32_t mantissa;
    uint32_t shift;
};

/* 2^(-y_j) for y_j = j step 2^-point: shift = bits + floor(y_j), mantissa = round(2^(bits - frac(y_j))),
 * which lies in [2^(bits-1), 2^bits]. Shapes: ret [count], 1 <= count <= 2^20. 1 <= bits <= 30, 1 <= point <=
 * 96, y_count < 2^31. Errors: BASE_ERR_ARGUMENT outside these limits; BASE_ERR_INTERNAL for an undecided
 * entry (2^-120 each). */
BASE_MUST_USE enum base_status base_exact_powers(struct base_exact_power *ret, size_t count, uint64_t step,
                                                 int point, int bits, struct base_error *error);

/* round(2^bits cos(2 pi i / 2^log_period)), the whole period.
 * Shapes: ret [2^log_period], 3 <= log_period <= 20. 1 <= bits <= 30.
 * Errors: as above. */
BASE_MUST_USE enum base_status base_exact_cosines(int32_t *ret, int log_period, int bits,
                                                  struct base_error *error);

#endif
