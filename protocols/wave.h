/* SiLU and GELU without a tree, one round: f(g) = g / 2 + psi(g), psi even, and psi as odd harmonics of a
 * period P that divides the ring.
 *
 * cos n w (m - lambda) = cos n w m cos n w lambda + sin n w m sin n w lambda is exact modulo the ring: no
 * grid, no borrow, no unusable cell. P0 deals shares of A_n cos(n w lambda) and A_n sin(n w lambda); the
 * factors at m are public. Harmonic n needs only Fc_n bits of them, so its words live in Z_2^(R - z_n), z_n =
 * Fc - Fc_n. With fg fraction bits the integer of g IS g / 2 with fg + 1, and is added after the opening.
 * Units: g in a ring of k bits or more, SEC_WAVE_INPUT fraction bits, |g| <= span; result in Z_2^k with
 * SEC_WAVE_OUTPUT fraction bits, |f| <= 2^(k-2), so that it can be lifted: k = 21 for spans of 22.5 and 26, 19 for
 * 7.5, 20 for 11. Error below 2^-11.3 (span 22.5 and 26), 2^-11.6 (7.5 and 11), and 1 unit. Cost: 1 round, 2 n k
 * bits online, two words per harmonic offline (sec_wave_cost). Reveals: nothing. Errors: inputs outside the span give another branch of the wave,
 * silently on shares; the twin counts them. Source: specification, dealt.py (Wave), README "Dealt bytes" item
 * 6; coefficients: wave_fit.py. */
#ifndef CACHET_PROTOCOLS_WAVE_H
#define CACHET_PROTOCOLS_WAVE_H

#include "protocols/gate.h"
#include "protocols/segments.h"

enum { SEC_WAVE_INPUT = 13, SEC_WAVE_OUTPUT = 14, SEC_WAVE_HARMONICS = 18 };

struct sec_wave {
    enum sec_curve curve;
    double span;
    int harmonics;
    int k;          /* ring of the result */
    int ring, f;    /* of the sum before it is cut by f */
    int log_period; /* P in units of g is 2^log_period */
    uint64_t constant;
    double amplitude[SEC_WAVE_HARMONICS];
    int bits[SEC_WAVE_HARMONICS]; /* Fc_n */
    double error;                 /* of f, without the unit of the cut */
    double ulp;                   /* shares against the twin, in units of the result */
    int32_t *cosine;              /* a quarter of a period (kern_turn_at), 30 fraction bits, exact on every machine */
};

/* The wave of the smallest span that holds `largest`. Errors: BASE_ERR_RANGE when none does; BASE_ERR_MEMORY,
 * BASE_ERR_INTERNAL (base/exact.h). */
BASE_MUST_USE enum base_status sec_wave_init(struct sec_wave *ret, enum sec_curve curve, double largest,
                                             struct base_error *error);
void sec_wave_finish(struct sec_wave *gate);

/* psi(g): queues one opening. g [n] -> [n]. */
struct mpc_wire sec_wave_eval(struct mpc_party *p, const struct sec_wave *gate, struct mpc_wire g,
                              const char *label);
/* f(g) from psi(g), after the round: local. */
struct mpc_wire sec_wave_add(struct mpc_party *p, const struct sec_wave *gate, struct mpc_wire psi,
                             struct mpc_wire g);
/* Entries of `cosine`. */
size_t sec_wave_table_size(const struct sec_wave *gate);
/* k for a span. */
int sec_wave_ring(double span);
/* The largest k of the waves, one of each curve, that sec_wave_init chooses for `largest`. */
int sec_wave_widest_ring(double largest);
struct mpc_cost sec_wave_cost(const struct sec_wave *gate, size_t n);

extern const struct sec_gate sec_gate_silu_wave, sec_gate_gelu_wave;

#endif
