#include "mpc/maker.h"

const struct mpc_maker mpc_maker_of_twin = {0};

/* --- notes --- */

void mpc_note_product(struct mpc_party *p, struct mpc_product_form form, const uint64_t *x, const uint64_t *w)
{
    if (mpc_notes(p) && !mpc_failed(p) && form.heads > 0 && form.rows > 0 && form.outs > 0 && form.inner > 0)
        p->status = p->maker->product(p->maker->context, form, x, w, &p->error);
}

void mpc_note_cross(struct mpc_party *p, struct mpc_cross_form form, const uint64_t *x, const uint64_t *y)
{
    if (mpc_notes(p) && !mpc_failed(p) && form.count > 0)
        p->status = p->maker->cross(p->maker->context, form, x, y, &p->error);
}

void mpc_note_wraps(struct mpc_party *p, struct mpc_wraps_form form, const uint64_t *l)
{
    if (mpc_notes(p) && !mpc_failed(p) && form.count > 0)
        p->status = p->maker->wraps(p->maker->context, form, l, &p->error);
}

void mpc_note_chosen(struct mpc_party *p, struct mpc_chosen_form form, const uint64_t *rho, const uint64_t *l)
{
    if (mpc_notes(p) && !mpc_failed(p) && form.count > 0)
        p->status = p->maker->chosen(p->maker->context, form, rho, l, &p->error);
}

void mpc_note_points(struct mpc_party *p, struct mpc_point_form form, const uint64_t *index, const uint64_t *low, const uint64_t *times)
{
    if (mpc_notes(p) && !mpc_failed(p) && form.count > 0)
        p->status = p->maker->points(p->maker->context, form, index, low, times, &p->error);
}

void mpc_note_turned(struct mpc_party *p, struct mpc_turned_form form, const uint64_t *by)
{
    if (mpc_notes(p) && !mpc_failed(p) && form.count > 0)
        p->status = p->maker->turned(p->maker->context, form, by, &p->error);
}

void mpc_note_bits(struct mpc_party *p, struct mpc_bits_form form, const uint64_t *own)
{
    if (mpc_notes(p) && !mpc_failed(p) && form.count > 0)
        p->status = p->maker->bits(p->maker->context, form, own, &p->error);
}

void mpc_make(struct mpc_party *p, bool last)
{
    uint64_t bytes = 0;
    if (!mpc_notes(p) || mpc_failed(p))
        return;
    p->status = p->maker->run(p->maker->context, last, &bytes, &p->error);
    p->declared.offline += bytes;
    if (p->account != NULL)
        p->account->offline += bytes;
}

/* --- reading --- */

uint8_t *mpc_made_bytes(struct mpc_party *p, size_t size)
{
    uint8_t *bytes = mpc_bytes(p, size);
    if (bytes != NULL && size > 0)
        p->status = p->source.take(p->source.context, p->step, bytes, size, &p->error);
    return mpc_failed(p) ? NULL : bytes;
}

uint64_t *mpc_made(struct mpc_party *p, size_t count, int ring)
{
    uint64_t *words = mpc_words(p, count);
    size_t mark = base_arena_mark(&p->arena);
    const uint8_t *packed = mpc_made_bytes(p, mpc_bits(count, ring));
    if (packed != NULL)
        p->kern->unpack_bits(words, packed, count, ring);
    base_arena_release(&p->arena, mark);
    return mpc_failed(p) ? NULL : words;
}

void mpc_add_made(struct mpc_party *p, uint64_t *z, size_t count, int ring)
{
    size_t mark = base_arena_mark(&p->arena);
    const uint64_t *words = mpc_made(p, count, ring);
    for (size_t i = 0; words != NULL && i < count; i++)
        z[i] += words[i];
    base_arena_release(&p->arena, mark);
}
