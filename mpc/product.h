/* Products in one round, whatever their inner length, and the opening of additive shares.
 *
 * A product is made in two steps: a share (local, linear, still at full width) and a cut, which truncates each party's
 * own part BEFORE masks go on, and queues the opening. Between the two, public linear maps (RoPE, selection) may be applied to
 * the share.
 *
 *   P0: z0 = lx ly            P1: z1 = -(mx l1y + l1x my)            P2: z2 = mx (my - l2y) - l2x my
 *   z0 + z1 + z2 = x y  mod 2^R
 *
 * Source: PROTOCOL sections 3 and 4; specification, linear.py (bilinear) and dealt.py (finish_cut, open_cut). */
#ifndef CACHET_MPC_PRODUCT_H
#define CACHET_MPC_PRODUCT_H

#include "mpc/maker.h"
#include "mpc/matrix.h"

/* Additive parts of a value in Z_2^ring (the twin: the value itself), not yet masked or cut. */
struct mpc_share {
    int ring;
    int frac;
    size_t count;
    uint64_t *z;
    double slack; /* units by which it may differ from the twin's on equal inputs */
};

struct mpc_share mpc_share_make(struct mpc_party *p, size_t count, int ring, int frac);

/* x [rows][inner] times W [outs][inner] transposed: [rows][outs], in the smaller ring of the two. Local. */
struct mpc_share mpc_share_matmul(struct mpc_party *p, struct mpc_wire x, size_t rows, const struct mpc_matrix *w);
/* The same into rows of a larger share: out.z[at + r * stride + o]. */
void mpc_share_matmul_at(struct mpc_party *p, struct mpc_wire x, size_t rows, const struct mpc_matrix *w,
                         struct mpc_share *out, size_t at, size_t stride);

/* x times each of `count` matrices, as mpc_share_matmul each: ret [count]. Two parties make what they need for all of them together, and an
 * accelerator may have them under way together. Local. */
void mpc_share_matmul_stacked(struct mpc_party *p, struct mpc_wire x, size_t rows, const struct mpc_matrix *const *w, size_t count, struct mpc_share *ret);
/* x [heads][rows][inner] times w[head] [outs][inner], matrices of one form, into out.z[at ..], [heads][rows][outs]. `which`: what the matrices are, for two
 * parties. `later`: between kern_hold and kern_settle (kernels/gather.h), and the words are there after kern_settle, which lets an accelerator take a
 * gate of the same round along. Together as above. Local. */
struct mpc_heads_form {
    size_t heads, rows;
    struct mpc_identity which;
    bool later;
};
void mpc_share_matmul_heads(struct mpc_party *p, struct mpc_wire x, const struct mpc_matrix *w, struct mpc_heads_form form, struct mpc_share *out, size_t at);

/* Sums over runs of `group` elements of x * y elementwise: [count / group]. Local. */
struct mpc_share mpc_share_dot(struct mpc_party *p, struct mpc_wire x, struct mpc_wire y, size_t group);
/* The same of x with itself. */
struct mpc_share mpc_share_squares(struct mpc_party *p, struct mpc_wire x, size_t group);

/* Elements index[i] of a share (public indices). */
struct mpc_share mpc_share_gather(struct mpc_party *p, struct mpc_share share, const uint32_t *index, size_t count);

/* The first row of a masked matrix as a share, `copies` times one after the other: [copies][inner]. Local: P0 holds -(l1 + l2), P2 holds m. */
struct mpc_share mpc_share_of_row(struct mpc_party *p, const struct mpc_matrix *w, size_t copies);
/* *share += other, of equal count and fraction; in the smaller ring. Local. */
void mpc_share_add(struct mpc_party *p, struct mpc_share *share, struct mpc_share other);

/* Cost of a cut: 2 n (R - f) bits online, and n (R - f) bits offline unless gate_only. */
struct mpc_cost mpc_cut_cost(size_t count, int ring, int f, bool gate_only);

/* value / 2^f in Z_2^(ring - f), opened under g1 + s2 in the next round.
 * Units: within 1.5 units of the twin for EVERY value. Bound: |value / 2^f| <= 2^bound, bound < ring - f.
 * Cost: mpc_cut_cost. Reveals: nothing. Safe: P2 sees (z1 >> f) + g1, uniform by g1; P1 sees (z2 >> f) + s2, uniform by s2; a
 * dealt half of the mask is the mask minus a fresh draw that its receiver cannot make (mpc_deal_halves).
 * `ring` may be smaller than the share's: only the low bits are opened then. gate_only: see wire.h. */
struct mpc_wire mpc_cut(struct mpc_party *p, struct mpc_share share, int ring, int f, int bound, bool gate_only,
                        const char *label);

/* mpc_share_matmul, a bias [rows * outs] or NULL, and mpc_cut of all bits down to `frac` fraction bits: the same wire at the same cost. An accelerator
 * makes product and draws side by side, and is waited for once. */
struct mpc_cut_form {
    int frac, bound;
    const char *label;
};
struct mpc_wire mpc_cut_matmul(struct mpc_party *p, struct mpc_wire x, size_t rows, const struct mpc_matrix *w, const struct mpc_share *bias,
                               struct mpc_cut_form form);

/* Additive shares of a gate's result (P1 and P2 only; the twin passes its value) -> wire in Z_2^(ring - f).
 * Cost: 2 n (ring - f) bits online. Units: `ulp` of the gate, the cut adds 1 to it. Reveals: nothing (fresh masks). */
struct mpc_opening_form {
    int ring, f, frac, bound;
    double ulp;
    const char *label;
};
struct mpc_wire mpc_open_share(struct mpc_party *p, const uint64_t *share, size_t count, struct mpc_opening_form form);
struct mpc_cost mpc_open_share_cost(size_t count, int ring, int f);

#endif
