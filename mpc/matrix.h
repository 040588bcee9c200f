/* Masked matrices: weights for the life of a model, or caches that grow.
 *
 * Elements lie in little-endian words of 8, 6 or 4 bytes, as small as the matrix's ring allows (kern_word_of); a product's low
 * bits need no more of its factors than these, so a small ring costs no accuracy. The two values that P1 or P2 holds of an
 * element lie beside each other in blocks, so that one pass over memory makes both products:
 *
 *   P1: blocks of 8 words m, 8 words l1      P2: blocks of 8 words m, 8 words m - l2
 *   P0: l1 + l2                              twin: x, always whole 64-bit integers
 *
 * Activations are laid out alike (mpc_matrix_activation), with zeros where the last block has no element. */
#ifndef CACHET_MPC_MATRIX_H
#define CACHET_MPC_MATRIX_H

#include "mpc/party.h"

/* [outs][inner]; rows are `stride` bytes apart. */
struct mpc_matrix {
    int ring;
    int frac;
    int bound;
    size_t outs;
    size_t inner;
    size_t stride;
    uint8_t *data;
    /* Of weights that P1 or P2 reads ahead of time in the layout that it computes with online: its own role. MPC_HELPER (0): one value of each. */
    enum mpc_role held;
    bool weights; /* of a model: where it stands and what it holds stays the same for its life */
};

/* Bytes of one row with room for `inner` columns in this role and ring; 0 in the count role. */
size_t mpc_matrix_stride(enum mpc_role role, int ring, size_t inner);

/* How a role's products read a matrix (kern_table.gemm): the words of a ring, and how many of them a row of `inner` elements has. */
enum kern_word mpc_matrix_word(enum mpc_role role, int ring);
size_t mpc_matrix_line(enum mpc_role role, size_t inner);

/* Elements of w as row `row` of the matrix, for makers of weights: w holds every component that the role's form needs (P0: l1, l2; P1: m,
 * l1; P2: m, l2; twin: x), whoever the caller is. */
void mpc_matrix_write_row(enum mpc_role role, struct mpc_matrix *matrix, size_t row, const struct mpc_wire *w);

/* Copies `count` elements of w into the matrix: element i goes to row, column + i (or, if `down`, to row + i, column).
 * The caller grows outs and inner. */
void mpc_matrix_put(struct mpc_party *p, struct mpc_matrix *matrix, size_t row, size_t column, bool down, struct mpc_wire w);

/* to[to_row][to_column] = from[row][column], or += it if `add`, reduced to the ring of `to` (not larger than that of `from`). Local; nothing
 * in the count role. */
void mpc_matrix_copy(enum mpc_role role, struct mpc_matrix *to, size_t to_row, size_t to_column, const struct mpc_matrix *from, size_t row,
                     size_t column, bool add);

/* The first of the values that this role holds of an element: m, l1 + l2, or x. Not in the count role. */
uint64_t mpc_matrix_element(enum mpc_role role, const struct mpc_matrix *matrix, size_t row, size_t column);

/* The second one of the values that P1 or P2 holds of an element: l1, or m - l2. */
uint64_t mpc_matrix_second(enum mpc_role role, const struct mpc_matrix *matrix, size_t row, size_t column);

/* Own mask half of every element, [outs][inner]: for P1 or P2 ahead of time (mpc/maker.h). */
void mpc_matrix_own_masks(const struct mpc_matrix *matrix, uint64_t *ret);

/* y[r * stride + o] = this role's part of x W, x [rows][inner] (see product.h). Local; fails the party where memory is short.
 * Not in the count role. */
void mpc_matrix_multiply(struct mpc_party *p, struct mpc_wire x, size_t rows, const struct mpc_matrix *w, uint64_t *y, size_t stride);

#endif
