#include "mpc/matrix.h"

#include "kernels/threads.h"

#include <string.h>

static bool holds_pairs(enum mpc_role role)
{
    return role == MPC_LEFT || role == MPC_RIGHT;
}

enum kern_word mpc_matrix_word(enum mpc_role role, int ring)
{
    return role == MPC_CLEAR ? KERN_WORD_64 : kern_word_of(ring);
}

/* Elements of a row with whole blocks; a pair counts as two. */
static size_t padded(enum mpc_role role, size_t inner)
{
    size_t blocks = (inner + KERN_BLOCK - 1) / KERN_BLOCK;
    return blocks * KERN_BLOCK * (holds_pairs(role) ? 2 : 1);
}

size_t mpc_matrix_line(enum mpc_role role, size_t inner)
{
    return holds_pairs(role) ? padded(role, inner) : inner;
}

size_t mpc_matrix_stride(enum mpc_role role, int ring, size_t inner)
{
    return role == MPC_COUNT ? 0 : padded(role, inner) * kern_word_bytes(mpc_matrix_word(role, ring));
}

/* --- elements ------------------------------------------------------------------------------------------------------- */

static inline void store_word(uint8_t *at, enum kern_word word, uint64_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    memcpy(at, &value, kern_word_bytes(word));
}

static inline uint64_t load_word(const uint8_t *at, enum kern_word word)
{
    uint64_t value = 0;
    memcpy(&value, at, kern_word_bytes(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

/* Where a role's form of an element lies: its first value, and the second one where there are two. */
struct place {
    enum kern_word word;
    uint8_t *first, *second;
};

static inline struct place place_of(enum mpc_role role, const struct mpc_matrix *matrix, size_t row, size_t column)
{
    struct place at = {.word = mpc_matrix_word(role, matrix->ring)};
    size_t bytes = kern_word_bytes(at.word);
    uint8_t *line = matrix->data + row * matrix->stride;
    if (!holds_pairs(role)) {
        at.first = line + column * bytes;
        return at;
    }
    at.first = line + (column / KERN_BLOCK * 2 * KERN_BLOCK + column % KERN_BLOCK) * bytes;
    at.second = at.first + KERN_BLOCK * bytes;
    return at;
}

static inline void put_element(enum mpc_role role, const struct mpc_matrix *matrix, size_t row, size_t column, const struct mpc_wire *w,
                               size_t i)
{
    struct place at = place_of(role, matrix, row, column);
    uint64_t keep = kern_ring_mask(matrix->ring < w->ring ? matrix->ring : w->ring);
    if (role == MPC_CLEAR) {
        store_word(at.first, at.word, w->x[i]);
    } else if (role == MPC_HELPER) {
        store_word(at.first, at.word, (w->l1[i] + (w->l2 == NULL ? 0 : w->l2[i])) & keep);
    } else {
        store_word(at.first, at.word, w->m[i] & keep);
        store_word(at.second, at.word, (role == MPC_LEFT ? w->l1[i] : w->m[i] - w->l2[i]) & keep);
    }
}

void mpc_matrix_write_row(enum mpc_role role, struct mpc_matrix *matrix, size_t row, const struct mpc_wire *w)
{
    for (size_t i = 0; role != MPC_COUNT && i < w->count; i++)
        put_element(role, matrix, row, i, w, i);
}

void mpc_matrix_put(struct mpc_party *p, struct mpc_matrix *matrix, size_t row, size_t column, bool down, struct mpc_wire w)
{
    if (mpc_failed(p) || p->role == MPC_COUNT)
        return;
    for (size_t i = 0; i < w.count; i++)
        put_element(p->role, matrix, down ? row + i : row, down ? column : column + i, &w, i);
}

static inline void copy_word(uint8_t *to, enum kern_word to_word, const uint8_t *from, enum kern_word from_word, uint64_t keep, bool add)
{
    store_word(to, to_word, ((add ? load_word(to, to_word) : 0) + load_word(from, from_word)) & keep);
}

void mpc_matrix_copy(enum mpc_role role, struct mpc_matrix *to, size_t to_row, size_t to_column, const struct mpc_matrix *from, size_t row,
                     size_t column, bool add)
{
    if (role == MPC_COUNT)
        return;
    struct place a = place_of(role, to, to_row, to_column), b = place_of(role, from, row, column);
    uint64_t keep = role == MPC_CLEAR ? ~UINT64_C(0) : kern_ring_mask(to->ring);
    copy_word(a.first, a.word, b.first, b.word, keep, add);
    if (holds_pairs(role))
        copy_word(a.second, a.word, b.second, b.word, keep, add);
}

uint64_t mpc_matrix_element(enum mpc_role role, const struct mpc_matrix *matrix, size_t row, size_t column)
{
    struct place at = place_of(role, matrix, row, column);
    return load_word(at.first, at.word);
}

uint64_t mpc_matrix_second(enum mpc_role role, const struct mpc_matrix *matrix, size_t row, size_t column)
{
    struct place at = place_of(role, matrix, row, column);
    return load_word(at.second, at.word);
}

void mpc_matrix_own_masks(const struct mpc_matrix *matrix, uint64_t *ret)
{
    uint64_t keep = kern_ring_mask(matrix->ring);
    for (size_t r = 0; r < matrix->outs; r++)
        for (size_t i = 0; i < matrix->inner; i++) {
            struct place at = place_of(matrix->held, matrix, r, i);
            uint64_t first = load_word(at.first, at.word), second = holds_pairs(matrix->held) ? load_word(at.second, at.word) : 0;
            ret[r * matrix->inner + i] = (matrix->held == MPC_LEFT ? second : first - second) & keep;
        }
}

/* --- products ------------------------------------------------------------------------------------------------------- */

/* Activations of a product in a matrix's layout: for P1 and P2 blocks of 8 elements that meet the first values, 8 that meet the second
 * ones; as the product's slot reads them. */
struct activation {
    uint64_t *wide;
    uint32_t *narrow; /* instead, for words of 32 bits */
};

static inline void set(struct activation to, size_t at, uint64_t value)
{
    if (to.narrow != NULL)
        to.narrow[at] = (uint32_t)value;
    else
        to.wide[at] = value;
}

/* Where a caller's array already is what the slot reads. */
static const uint64_t *single_values(struct mpc_party *p, const struct mpc_wire *x)
{
    return p->role == MPC_HELPER ? mpc_mask(p, x) : x->x;
}

/* P1: -(l1 m' + m l1'), P2: -(l2 m') + m (m' - l2'), primes for the matrix. */
static void lay_pairs(struct activation to, enum mpc_role role, const struct mpc_wire *x, size_t rows, size_t inner, size_t line)
{
    bool left = role == MPC_LEFT;
    const uint64_t *mask = left ? x->l1 : x->l2;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < line / 2; i++) {
            size_t at = r * line + i / KERN_BLOCK * 2 * KERN_BLOCK + i % KERN_BLOCK, from = r * inner + i;
            set(to, at, i < inner ? 0 - mask[from] : 0);
            set(to, at + KERN_BLOCK, i < inner ? (left ? 0 - x->m[from] : x->m[from]) : 0);
        }
}

void mpc_matrix_multiply(struct mpc_party *p, struct mpc_wire x, size_t rows, const struct mpc_matrix *w, uint64_t *y, size_t stride)
{
    enum kern_word word = mpc_matrix_word(p->role, w->ring);
    bool narrow = word == KERN_WORD_32;
    size_t line = mpc_matrix_line(p->role, w->inner);
    const void *a = NULL;
    struct activation to = {0};
    if (!holds_pairs(p->role)) {
        const uint64_t *values = single_values(p, &x);
        if (!narrow || mpc_failed(p)) {
            a = values;
        } else if ((a = to.narrow = mpc_bytes(p, rows * line * sizeof *to.narrow)) != NULL) {
            for (size_t i = 0; i < rows * line; i++)
                to.narrow[i] = (uint32_t)values[i];
        }
    } else {
        if (narrow)
            a = to.narrow = mpc_bytes(p, rows * line * sizeof *to.narrow);
        else
            a = to.wide = mpc_words(p, rows * line);
        if (a != NULL)
            lay_pairs(to, p->role, &x, rows, w->inner, line);
    }
    if (a != NULL && !mpc_failed(p))
        kern_gemm_over_threads(p->kern, word, y, stride, a, line, rows, w->data, w->stride, w->outs, line);
}
