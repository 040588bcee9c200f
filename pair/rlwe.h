/* Products of one party's mask matrix and the other's mask vectors by ring learning with errors: shares mod 2^t of A v, A (rows x columns)
 * known to its owner, v to the evaluator. What W x, q K, e V and scalar times vector need, in both directions.
 *
 * N = 8192, modulus q = 2^192 (t = 64) or 2^128 (t = 32), ternary secret, binomial noise of 3.24: within the 218 bits of the
 * homomorphic-encryption standard for 128-bit security. No rotation, no key switching (pair/rlwe_ring.h).
 *
 *  once      each party sends a public key p0 = -p1 s + e; p1 and every a_j below come from its public seed by AES-CTR.
 *  once per  the owner sends, for each column j, b_j = -a_j s + e_j + 2^(Q-t) A[.][j]: `rows` coefficients; a_j has its own seed number.
 *  matrix
 *  per v     the evaluator makes  sum_j v_j (a_j, b_j) + Enc(0) + flood + 2^(Q-t) rho,  rounds to Q2 bits and sends all N coefficients of the
 *            first half and `rows` of the second; for shares mod 2^R without the t - R highest bits. The owner decrypts A v + rho and keeps it;
 *            the evaluator keeps -rho.
 *
 * Rules, each of which keeps a secret:
 *  - Enc(0) is fresh for every answer: a_j is public, so without it sum v_j a_j gives v away by linear algebra.
 *  - Every answered coefficient is flooded: without it the noise sum v_j e_j shows to the owner, who knows e.
 *  - One (seed number, coefficient) encrypts once: numbers come from a counter that goes forward only, and further rows of a matrix take
 *    coefficients after those that were used (pair_rlwe_columns); when they are used up, new numbers are needed, by a named error.
 *  - Answers of different matrices never share a first half.
 *
 * Exact: a word is wrong where all errors reach 2^(Q-t-1), 2^127: flooding is 2^123, products v e are below 2^78 at 768 columns, and
 * rounding to Q2 bits, which meets s, has a deviation of 2^122.5. Tests see 0.2 of the way at most.
 * Statistical distance of an answered coefficient from one that does not depend on v: 2^-46 at 768 columns for the worst v and e (2^78 under
 * 2^124), 2^-54 for typical ones; at 11008 columns 2^-42 and 2^-52; t = 32: the same, as all shrinks by 2^32. The ternary draw: 2^-62.
 *
 * Cost: pair_rlwe_start_cost, pair_rlwe_encrypt_cost, pair_rlwe_product_cost: 1 exchange each.
 * Work: one product of polynomials per encrypted column, two per answer; per column and answer N + rows
 * multiplications of a coefficient by a word, and 8 N limbs bytes of AES, once for all vectors of a job.
 * Source: V. Lyubashevsky, C. Peikert, O. Regev, EUROCRYPT 2010; the form of the answer: pair.md section 4. */
#ifndef CACHET_PAIR_RLWE_H
#define CACHET_PAIR_RLWE_H

#include "pair/rlwe_ring.h"

/* The two parameter sets. */
struct pair_rlwe_params {
    int limbs; /* Q / 64 */
    int plain; /* t */
    int back;  /* Q2 */
    int flood; /* log2 of the width of the flooding noise */
};

extern const struct pair_rlwe_params pair_rlwe_64, pair_rlwe_32;

/* One party's half of a parameter set: its secret, and both public keys. */
struct pair_rlwe {
    struct pair_rlwe_params params;
    int8_t secret[PAIR_RLWE_N];
    uint64_t *key[3];              /* p0 by owner: [N][limbs] */
    uint8_t seed[3][16];           /* of a_j, by owner: public */
    struct kern_aes_key stream[3]; /* of these seeds */
    uint64_t next[3];              /* seed number of the next column, by owner: forward only, alike at both */
};

/* Draws keys and exchanges public ones. Both parties at once; *ret is to be finished also after a failure. Cost: 1 exchange.
 * Errors: BASE_ERR_MISMATCH (parameters), BASE_ERR_PEER (another session, the wrong party), those of the link. */
BASE_MUST_USE enum base_status pair_rlwe_start(struct pair_rlwe *ret, struct pair_party *p, const struct pair_rlwe_params *params,
                                               struct base_error *error);
void pair_rlwe_finish(struct pair_rlwe *rlwe);
struct pair_cost pair_rlwe_start_cost(const struct pair_rlwe_params *params);

/* --- encrypted matrices ------------------------------------------------------------------------------------------------------------ */

/* Seed numbers of a matrix's columns, and the coefficients of each that are used. Both parties keep it alike. */
struct pair_rlwe_columns {
    int owner;
    uint64_t first; /* number of column 0 */
    size_t columns;
    size_t used;
};

/* Rows at .. at + rows - 1 of such columns, encrypted. */
struct pair_rlwe_rows {
    uint64_t first;
    const uint64_t *number; /* [columns], borrowed, where they are not first, first + 1, ..; or NULL */
    size_t columns, at, rows;
    size_t stride;  /* words of `body` from one column to the next; 0: no more than its rows have */
    uint64_t *body; /* [columns][rows][limbs], at the evaluator; NULL at the owner */
};

void pair_rlwe_columns_new(struct pair_rlwe *rlwe, int owner, size_t columns, struct pair_rlwe_columns *ret);
void pair_rlwe_rows_finish(struct pair_rlwe_rows *rows);

struct pair_rlwe_encrypt_form {
    struct pair_rlwe *rlwe;
    struct pair_rlwe_columns *columns; /* read when the job is made */
    size_t rows;
    size_t line;    /* words from one row of the matrix to the next; 0: `columns` */
    size_t stride;  /* of the result */
    uint64_t *into; /* borrowed room of the result at the evaluator; NULL: it gets its own */
};

struct pair_rlwe_encrypt {
    struct pair_job job;
    struct pair_rlwe_encrypt_form form;
    int owner;
    struct pair_rlwe_rows *rows;
    const uint64_t *matrix;
};

/* matrix [rows][columns], at the owner, read when the job runs. Takes the next `rows` coefficients of the columns. ret_rows is complete at the evaluator after the
 * job. Errors: BASE_ERR_RANGE when fewer coefficients are left; BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status pair_rlwe_encrypt_init(struct pair_rlwe_encrypt *ret, const struct pair_party *p,
                                                      struct pair_rlwe_encrypt_form form, const uint64_t *matrix,
                                                      struct pair_rlwe_rows *ret_rows, struct base_error *error);
struct pair_cost pair_rlwe_encrypt_cost(const struct pair_rlwe_params *params, int owner, size_t columns, size_t rows);

/* --- products ---------------------------------------------------------------------------------------------------------------------- */

enum { PAIR_RLWE_MOST_BLOCKS = 8 };

struct pair_rlwe_product_form {
    struct pair_rlwe *rlwe;
    int owner;
    const struct pair_rlwe_rows *block[PAIR_RLWE_MOST_BLOCKS]; /* borrowed */
    size_t blocks, vectors;
    int ring;  /* of the shares: 1 to t; 0: t. An answer has ring + Q2 - t bits to a coefficient: the rest, above them, is not sent */
    bool late; /* the rows are encrypted by jobs of the same batch: an exchange more */
};

struct pair_rlwe_product {
    struct pair_job job;
    struct pair_rlwe_product_form form;
    size_t rows;            /* of all blocks */
    const uint64_t *vector; /* [vectors][columns], at the evaluator */
    uint64_t *share;        /* [vectors][rows], block after block; complete after the job */
    uint64_t *low, *high;   /* what travels: [vectors][N + rows] low 64 bits and the rest */
};

/* `blocks` blocks of rows over the SAME columns: they share the answer's first half. Errors: BASE_ERR_INTERNAL (blocks of other columns),
 * BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status pair_rlwe_product_init(struct pair_rlwe_product *ret, const struct pair_party *p,
                                                      struct pair_rlwe_product_form form, const uint64_t *vector, uint64_t *share,
                                                      struct base_error *error);
struct pair_cost pair_rlwe_product_cost(const struct pair_rlwe_params *params, int owner, int ring, size_t rows, size_t vectors);

#endif
