#include "protocols/bit_terms.h"

uint32_t sec_term_subsets(unsigned product)
{
    uint32_t subsets = 0;
    for (unsigned s = 1; s < SEC_TERM_SUBSETS; s++)
        if ((s & product) == s)
            subsets |= UINT32_C(1) << s;
    return subsets;
}

struct mpc_cost sec_terms_cost(uint32_t subsets, size_t n, int ring)
{
    struct mpc_cost cost = {0};
    for (unsigned s = 0; s < SEC_TERM_SUBSETS; s++)
        cost.offline += (subsets >> s & 1) * mpc_bits(n, ring);
    return cost;
}

/* P0: the product of the subset's rhos. */
static uint64_t *product_of(struct mpc_party *p, const struct sec_bit_terms *terms, unsigned subset)
{
    uint64_t *product = mpc_words(p, terms->count);
    for (size_t i = 0; product != NULL && i < terms->count; i++)
        product[i] = 1;
    for (int b = 0; product != NULL && b < SEC_TERM_BITS; b++)
        for (size_t i = 0; (subset >> b & 1) != 0 && i < terms->count; i++)
            product[i] &= terms->bit[b].rho[i];
    return product;
}

/* Two parties, ahead of time: notes the product of the subset's rhos, each an XOR of both parties' own. */
static void note_product(struct mpc_party *p, const struct sec_bit_terms *terms, unsigned subset)
{
    struct mpc_bits_form form = {.count = terms->count, .ring = terms->ring};
    size_t mark = base_arena_mark(&p->arena);
    uint64_t *own = p->role == MPC_COUNT ? NULL : mpc_words(p, terms->count);
    for (size_t i = 0; own != NULL && i < terms->count; i++)
        own[i] = 0;
    for (int b = 0; b < SEC_TERM_BITS; b++) {
        if ((subset >> b & 1) == 0)
            continue;
        for (size_t i = 0; own != NULL && i < terms->count; i++)
            own[i] |= terms->bit[b].rho[i] << form.bits;
        form.bits++;
    }
    mpc_note_bits(p, form, own);
    base_arena_release(&p->arena, mark);
}

void sec_terms_deal(struct mpc_party *p, struct sec_bit_terms *terms, uint32_t subsets)
{
    uint32_t missing = subsets & ~terms->dealt;
    if (mpc_failed(p))
        return;
    if (p->maker == NULL)
        mpc_declare(p, sec_terms_cost(missing, terms->count, terms->ring));
    for (unsigned s = 1; s < SEC_TERM_SUBSETS && !mpc_failed(p); s++) {
        if ((missing >> s & 1) == 0)
            continue;
        if (mpc_notes(p)) {
            note_product(p, terms, s);
        } else if (mpc_reads_made(p)) {
            terms->rho[s] = mpc_made(p, terms->count, terms->ring);
        } else if (p->role == MPC_HELPER) {
            size_t mark = base_arena_mark(&p->arena);
            const uint64_t *product = product_of(p, terms, s);
            if (product != NULL)
                mpc_deal(p, terms->count, terms->ring, product);
            base_arena_release(&p->arena, mark);
        } else {
            terms->rho[s] = mpc_deal(p, terms->count, terms->ring, NULL);
        }
    }
    terms->dealt |= subsets;
}

/* What the rhos of `subset` are multiplied with in the product: the deltas of the other factors, 1 - 2 delta
 * of its own. */
static uint64_t coefficient(const struct sec_bit_terms *terms, unsigned product, unsigned subset, size_t i)
{
    uint64_t c = 1;
    for (int b = 0; b < SEC_TERM_BITS; b++)
        if (product >> b & 1)
            c *= subset >> b & 1 ? 1 - 2 * terms->bit[b].delta[i] : terms->bit[b].delta[i];
    return c;
}

static void add_shares(struct mpc_party *p, const struct sec_bit_terms *terms, unsigned product,
                       uint64_t factor, uint64_t *sum)
{
    for (unsigned s = 0; s < SEC_TERM_SUBSETS; s++) {
        if ((s & product) != s || (s == 0 && p->role != MPC_LEFT))
            continue;
        for (size_t i = 0; i < terms->count; i++)
            sum[i] += factor * coefficient(terms, product, s, i) * (s == 0 ? 1 : terms->rho[s][i]);
    }
}

static void add_values(const struct sec_bit_terms *terms, unsigned product, uint64_t factor, uint64_t *sum)
{
    for (size_t i = 0; i < terms->count; i++) {
        uint64_t value = factor;
        for (int b = 0; b < SEC_TERM_BITS; b++)
            value *= product >> b & 1 ? terms->bit[b].x[i] : 1;
        sum[i] += value;
    }
}

void sec_term_add(struct mpc_party *p, const struct sec_bit_terms *terms, unsigned product, uint64_t factor,
                  uint64_t *sum)
{
    uint32_t missing = sec_term_subsets(product) & ~terms->dealt;
    if (!mpc_failed(p) && missing != 0)
        mpc_fail(p, BASE_ERR_INTERNAL, "a product of masked bits (set %#x) before its terms were dealt",
                 product);
    if (mpc_failed(p))
        return;
    if (mpc_computes(p))
        add_shares(p, terms, product, factor, sum);
    else if (p->role == MPC_CLEAR)
        add_values(terms, product, factor, sum);
}

struct sec_masked_bit sec_masked_bit_not(struct mpc_party *p, struct sec_masked_bit bit)
{
    uint64_t **part = p->role == MPC_CLEAR ? &bit.x : &bit.delta;
    if (mpc_failed(p) || *part == NULL)
        return bit;
    const uint64_t *v = *part;
    uint64_t *z = *part = mpc_words(p, bit.count);
    for (size_t i = 0; z != NULL && i < bit.count; i++)
        z[i] = v[i] ^ 1;
    return bit;
}
