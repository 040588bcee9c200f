/* From COTs to shares of bit times word: what Gilboa products, ANDs, point payloads and seed trees send.
 *
 * COT i: the receiver wants bit times w, w the sender's. It says e = bit xor c (uniform: c is); the sender's pads are a = H(K xor e Delta)
 * and b = H(K xor (1 - e) Delta); it sends y = a - b + w (uniform: b is unknown to the receiver) and keeps -a; the receiver adds bit y to
 * its own pad. Pads are kern_table.hash_tweaked under the COT's number: one for each block of two words. */
#ifndef CACHET_PAIR_OT_H
#define CACHET_PAIR_OT_H

#include "pair/cot.h"
#include "pair/ggm.h"

/* ret[i] = bit[i] xor choice[i]. */
void pair_ot_ask(const struct pair_cots *cots, const uint64_t *bit, uint64_t *ret);

/* Sender: asked[count], words [width][count]. ret_sent [width][count] travels; share [width][count] gets -a. Words that travel are to be
 * reduced by whoever packs them. scratch: pair_ot_scratch blocks. */
void pair_ot_answer(const struct pair_party *p, int sender, const struct pair_cots *cots, size_t width, const uint64_t *asked,
                    const uint64_t *words, uint64_t *ret_sent, uint64_t *share, struct pair_block *scratch);
/* Receiver: share [width][count] gets its pad plus bit times sent. */
void pair_ot_take(const struct pair_party *p, int sender, const struct pair_cots *cots, size_t width, const uint64_t *bit,
                  const uint64_t *sent, uint64_t *share, struct pair_block *scratch);
static inline size_t pair_ot_scratch(size_t count)
{
    return 3 * count;
}

#endif
