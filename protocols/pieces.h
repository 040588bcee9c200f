/* Which piece of a public partition x lies in, on shares of ONE DCF key: what the gates over knots share.
 *
 * 0 <= x < 2^k, piece i is [knot[i], knot[i+1]), the last one ends at 2^k. The key's payload is 1 and words
 * of P0's choice: the mask D of x, D >> z. [x >= kappa] = [lambda in (m - 2^k, m - kappa] mod 2^k] are
 * differences of the DCF at public points, and x = m - lambda + 2^k w with w = 1 on the part of the interval
 * below zero. Exact: the share's piece is always the twin's.
 *
 * x below the first real knot, or from the last one on where that is not 2^k, lies in a piece of its own, whose
 * share is a share of one bit: the guard reads it. Beyond 2^k x aliases.
 *
 * Cost: two DCF keys and payloads - 1 words per element offline (sec_pieces_cost), nothing online.
 * Reveals: nothing (gate.h).
 * Source: specification, curves.py (Spline); PROTOCOL section 5. */
#ifndef CACHET_PROTOCOLS_PIECES_H
#define CACHET_PROTOCOLS_PIECES_H

#include "protocols/gate.h"

enum { SEC_PIECES_PAYLOADS = 3, SEC_PIECES_RESULTS = 2 };

struct sec_pieces {
    int k;
    int ring;
    int payloads; /* 1 and up to two words of P0 */
    size_t count;
    const int64_t *knot; /* knot[0] = 0 */
    size_t short_from;   /* pieces from here on do not read the last word; count where all do */
    size_t good;         /* pieces 1 .. good - 1 hold the range; the others raise the guard (guard.h), for nothing */
};

/* Shares of one element, a word per piece: of [x in piece] for each w, and of word e times [x in piece] where
 * the piece reads word e. */
struct sec_piece_shares {
    uint64_t *in[2];
    uint64_t *word[SEC_PIECES_PAYLOADS - 1];
};

/* Knots 0, low, then per_octave to the octave up to high, which is one unless it is 2^k. ret_knot NULL: only
 * counts. Returns the number of pieces; ret_knot has room for one more. */
size_t sec_pieces_place(int k, int64_t low, int64_t high, int per_octave, int64_t *ret_knot);
/* `good` of pieces placed up to `high`. */
size_t sec_pieces_good(int k, int64_t high, size_t count);
size_t sec_pieces_find(const struct sec_pieces *pieces, int64_t x);

/* Nearest integer, halves to even, at any size below 2^63. */
int64_t sec_pieces_nearest(double x);

/* The twin's guard: counts x outside the range. */
void sec_pieces_watch(struct mpc_party *p, const struct sec_pieces *pieces, const uint64_t *x, size_t n);

struct mpc_cost sec_pieces_cost(int k, int ring, int payloads, size_t n);
/* P0: mask [n], words [payloads - 1][n]. */
void sec_pieces_deal(struct mpc_party *p, const struct sec_pieces *pieces, const uint64_t *mask,
                     const uint64_t *words, size_t n);

/* Writes this party's additive shares of the results of one element whose reading is m. */
typedef void (*sec_pieces_fn)(const void *gate, uint64_t m, const struct sec_piece_shares *shares,
                              uint64_t *ret);
/* P1, P2: m [n] -> ret[results] arrays [n]. */
void sec_pieces_eval(struct mpc_party *p, const struct sec_pieces *pieces, const uint64_t *m, size_t n,
                     sec_pieces_fn combine, const void *gate, int results, uint64_t **ret);

/* Share of (a + b y) [x in piece], y = m - word + N w: m and N = 2^k, and the word D; or all three shifted by
 * z. */
static inline uint64_t sec_piece_line(const struct sec_piece_shares *shares, size_t piece, int word,
                                      uint64_t a, uint64_t b, uint64_t m, uint64_t N)
{
    return (a + b * m) * shares->in[0][piece] + (a + b * (m + N)) * shares->in[1][piece] -
           b * shares->word[word][piece];
}

#endif
