/* A kernel table that looks on: it copies every field that a party unpacks from a message, and can prescribe every draw.
 *
 * Tests need both to see what a party sees; product code needs no hook for it, as all packing and all pseudorandom words go
 * through the kernel table. A thread attaches to its party's view before it runs. */
#ifndef CACHET_TESTS_SUPPORT_TAP_H
#define CACHET_TESTS_SUPPORT_TAP_H

#include "kernels/kern.h"

#include <stdbool.h>

/* s1, s2, o1, o2, of which P0 holds all; the first byte of their keys is their number. The stream of P1 and P2 is not one of those that are
 * enumerated. */
enum { TAP_STREAMS = 4, TAP_STREAM_P1_P2 = 4, TAP_DRAWS = 64 };

struct tap_field {
    bool exchanged; /* the peer's half of an opening; else an input or dealt */
    int ring;
    size_t count;
    uint64_t *values;
};

/* What one party received, in order. */
struct tap_view {
    struct tap_field *fields;
    size_t count, capacity;
};

/* One draw of a stream: `per` words of `ring` bits for every element of the enumeration. */
struct tap_draw {
    int ring;
    size_t per;
    int first_bit; /* where its bits lie in the number of the element */
};

enum tap_mode { TAP_REAL, TAP_FILL, TAP_DRY, TAP_SCRIPT };

/* Enumeration: a dry run with one element learns the draws (all zero); then element i of every draw is read out of the bits
 * of base + i, so that runs of `elements` elements at every base go through every assignment of the randomness. Draws and fields are
 * arrays [elements][per], or [per][elements] with `columns`. A draw of two 64-bit words is the order of two rows: one bit, the same
 * for all elements of a run, taken from the base. Words of the stream of P1 and P2 are one bit each, word c of draw d bit 8 d + c mod 64: what
 * is linear in them shows its coefficients. */
struct tap {
    enum tap_mode mode;
    uint64_t fill;               /* TAP_FILL: every word drawn, before it is reduced */
    size_t elements;
    uint64_t base;
    bool columns;
    struct tap_draw draws[TAP_STREAMS][TAP_DRAWS];
    size_t draw_count[TAP_STREAMS];
    struct tap_view view[3];
};

const struct kern_table *tap_table(void);
/* The calling thread is party 0, 1, 2, or -1 for nobody (draws are still prescribed). NULL detaches. */
void tap_attach(struct tap *tap, int party);
void tap_finish(struct tap *tap);

/* Places the draws of a dry run one after the other, orders last, and turns to script mode; returns the number of bits. `elements`
 * becomes what one run holds: everything but the orders. */
int tap_enumerate(struct tap *tap);
int tap_draw_bits(const struct tap_draw *draw);
/* Everything that party saw for element i, its own draws and every field it received, as one number; 0 in *ret_bits and a
 * zero when it does not fit 64 bits. */
uint64_t tap_seen(const struct tap *tap, int party, size_t i, int *ret_bits);

#endif
