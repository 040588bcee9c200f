/* What two parties make with each other, ahead of time, instead of what P0 deals: the seam between the graph and pair/.
 *
 *   m = x + l1 + l2  mod 2^ring      P1 (m, l1), l1 its own draw      P2 (m, l2), l2 its own draw      nobody else
 *
 * A party that has a maker is one of two. The graph is the same, in the same roles:
 *   MPC_LEFT, MPC_RIGHT   compute online, and take words that were made
 *   MPC_HELPER            P1 or P2 ahead of time: wires hold its own mask alone, in l1 (its own streams stand in s1 and o1, and draw what
 *                         the online party draws in the same order); shares hold nothing; each operation hands the masks that it needs to
 *                         the maker. Masks are draws, so nothing waits for what is made: a whole step is one batch
 *   MPC_COUNT             adds up what would be made
 *   MPC_CLEAR             the twin; tables of gates are those of a pair (their forms say so)
 *
 * What a pair cannot make is an error by name on every role, the count role included (mpc_declare refuses dealt bytes). */
#ifndef CACHET_MPC_MAKER_H
#define CACHET_MPC_MAKER_H

#include "mpc/party.h"

/* What a product's matrix is, so that a maker may keep what it has made of its masks (pair/rlwe.h). */
enum mpc_lasting {
    MPC_ONCE,    /* met once */
    MPC_WEIGHTS, /* the same for the life of a model */
    MPC_KEYS,    /* rows of a text: the matrix grows by outs */
    MPC_VALUES,  /* rows of a text as columns: it grows by inner */
};
struct mpc_identity {
    enum mpc_lasting lasting;
    const void *of;        /* what it belongs to: an address that stands for it at this party */
    uint64_t text;         /* of a text: another number for the same `of` is another text, whose masks are fresh */
    const uint32_t *stamp; /* [slots] of a text: which of its rows a slot holds. A slot with another stamp than before holds fresh masks */
    size_t room;           /* slots at most */
    size_t copies;         /* of a text: rows of x come in so many runs, one for each head of Q that shares the matrix */
};

/* `heads` products, x [heads][rows][inner] times w [heads][outs][inner] transposed each. */
struct mpc_product_form {
    size_t heads, rows, outs, inner;
    int ring;
    struct mpc_identity which;
};

/* Sums over runs of `group` words of x y; or scalars: x[i] times y[i group ..]; squares: y is x. */
struct mpc_cross_form {
    size_t count; /* words of y */
    size_t group;
    int ring;
    bool scalars, squares;
};

/* How often x + 2^b = m'' - l1 - l2 + 2^k V wraps, for each value M of the two highest bits of m'', bound <= k - 2:
 * V = ceil((a1 + a2 - M) / 4) with a_i the two highest bits of l_i. Words: [4][count]. */
struct mpc_wraps_form {
    size_t count;
    int k;
    int ring; /* of the words */
};
enum { MPC_WRAPS_READINGS = 4 };

/* What x times a masked bit needs, x a wire of k bits and the bit rho xor a public one, rho = rho1 xor rho2: V as in mpc_wraps_form and rho V in ring - k bits,
 * [8][count], then rho (l1 + l2) and rho in `ring` bits, [2][count]. */
struct mpc_chosen_form {
    size_t count;
    int k, ring;
};

/* Keys of point functions at a1 + a2 mod 2^h, with a_i the highest h of the k bits of l_i, b_i the others, and b = b1 + b2. */
enum mpc_payload {
    MPC_PAYLOAD_WORD,    /* one public word */
    MPC_PAYLOAD_POWERS,  /* 1, b, b^2 */
    MPC_PAYLOAD_TIMES,   /* 1, b, b^2, D, D b, D b^2, with D = d1 + d2 the mask of a second wire */
    MPC_PAYLOAD_FACTORS, /* one word, f1 f2 / 2^frac with f_i of `bits` bits a function of b_i */
    MPC_PAYLOAD_BIT,     /* 1, and rho1 xor rho2 as a number: a bit in the place of b_i */
};
struct mpc_point_form {
    size_t count;
    int h;
    int ring; /* of all words */
    enum mpc_payload payload;
    uint64_t word;  /* MPC_PAYLOAD_WORD */
    int bits, frac; /* of b_i; of f_i */
};

static inline int mpc_point_words(enum mpc_payload payload)
{
    return payload == MPC_PAYLOAD_POWERS ? 3 : payload == MPC_PAYLOAD_TIMES ? 6 : payload == MPC_PAYLOAD_BIT ? 2 : 1;
}

/* Bits of 2^h words at the place l1 + l2 mod 2^h turns them to: word[i] = pattern[i - l1 - l2 mod 2^h], as XOR shares packed into one word of 2^h bits. */
struct mpc_turned_form {
    size_t count;
    int h; /* 6 at most */
    uint64_t pattern;
};

/* Products of `bits` bits each, every one of them rho1 xor rho2 with rho_i at P_i alone: words [count]. */
struct mpc_bits_form {
    size_t count;
    int bits; /* 5 at most */
    int ring;
};

/* Each function notes one job. Masks are the caller's own ones, copied; NULL in the count role. Words that come out of it are taken in the
 * order of the calls, with `take` of the online party's source (mpc_made). */
struct mpc_maker {
    /* x [heads][rows][inner], w [heads][outs][inner]; the record [heads][rows][outs]. */
    enum base_status (*product)(void *context, struct mpc_product_form form, const uint64_t *x, const uint64_t *w, struct base_error *error);
    enum base_status (*cross)(void *context, struct mpc_cross_form form, const uint64_t *x, const uint64_t *y, struct base_error *error);
    enum base_status (*wraps)(void *context, struct mpc_wraps_form form, const uint64_t *l, struct base_error *error);
    /* rho [count]: own halves of the bits; l [count]. */
    enum base_status (*chosen)(void *context, struct mpc_chosen_form form, const uint64_t *rho, const uint64_t *l, struct base_error *error);
    /* index [count]; low [count]: b_i, or f_i; times [count] or NULL. */
    enum base_status (*points)(void *context, struct mpc_point_form form, const uint64_t *index, const uint64_t *low, const uint64_t *times,
                               struct base_error *error);
    enum base_status (*turned)(void *context, struct mpc_turned_form form, const uint64_t *by, struct base_error *error);
    /* own [count]: own factors of each product, bit b for factor b. */
    enum base_status (*bits)(void *context, struct mpc_bits_form form, const uint64_t *own, struct base_error *error);
    /* Between two rounds of the graph, and `last` after a step: makes what is noted when there is enough of it, or all of it. Sets the
     * bytes that were made, both ways. */
    enum base_status (*run)(void *context, bool last, uint64_t *ret_bytes, struct base_error *error);
    /* The graph ends, and another one may have its addresses: what lasts of its matrices is dropped. NULL: nothing does. */
    void (*forget)(void *context);
    /* Online: bytes of a record of keys, and own shares of all of them everywhere, [count][words][2^h]. */
    size_t (*record_size)(struct mpc_point_form form);
    enum base_status (*expand)(void *context, struct mpc_point_form form, const uint8_t *record, uint64_t *ret, struct base_error *error);
    void *context;
};

/* Of the twin of two parties: nothing is noted or read. */
extern const struct mpc_maker mpc_maker_of_twin;

/* Whether this party notes what is to be made: P1 or P2 ahead of time, and the count role of two. */
static inline bool mpc_notes(const struct mpc_party *p)
{
    return p->maker != NULL && (p->role == MPC_HELPER || p->role == MPC_COUNT);
}
/* Whether it reads what was made. */
static inline bool mpc_reads_made(const struct mpc_party *p)
{
    return p->maker != NULL && mpc_computes(p);
}
/* Whether this role's shares hold nothing. */
static inline bool mpc_shares_nothing(const struct mpc_party *p)
{
    return p->role == MPC_COUNT || (p->maker != NULL && p->role == MPC_HELPER);
}

/* Own mask of a wire, for any role of two that holds one; NULL elsewhere. */
static inline uint64_t *mpc_own_mask(const struct mpc_party *p, const struct mpc_wire *w)
{
    return p->role == MPC_RIGHT ? w->l2 : w->l1;
}

/* Notes one job where this party notes, nothing elsewhere. */
void mpc_note_product(struct mpc_party *p, struct mpc_product_form form, const uint64_t *x, const uint64_t *w);
void mpc_note_cross(struct mpc_party *p, struct mpc_cross_form form, const uint64_t *x, const uint64_t *y);
void mpc_note_wraps(struct mpc_party *p, struct mpc_wraps_form form, const uint64_t *l);
void mpc_note_chosen(struct mpc_party *p, struct mpc_chosen_form form, const uint64_t *rho, const uint64_t *l);
void mpc_note_points(struct mpc_party *p, struct mpc_point_form form, const uint64_t *index, const uint64_t *low, const uint64_t *times);
void mpc_note_turned(struct mpc_party *p, struct mpc_turned_form form, const uint64_t *by);
void mpc_note_bits(struct mpc_party *p, struct mpc_bits_form form, const uint64_t *own);

/* The next `count` words of `ring` bits, or bytes, that were made; NULL after a failure. Only where mpc_reads_made. */
uint64_t *mpc_made(struct mpc_party *p, size_t count, int ring);
uint8_t *mpc_made_bytes(struct mpc_party *p, size_t size);
/* z += the next `count` words that were made. */
void mpc_add_made(struct mpc_party *p, uint64_t *z, size_t count, int ring);

/* The maker's part of a round, or the last one of a step: for mpc_round, and for who runs the graph ahead of time. */
void mpc_make(struct mpc_party *p, bool last);

#endif
