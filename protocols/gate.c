#include "protocols/gate.h"

#include <string.h>

static bool readable(struct mpc_party *p, const struct mpc_wire *w, int k)
{
    if (!mpc_failed(p) && k > w->ring)
        mpc_fail(p, BASE_ERR_INTERNAL, "a gate of %d bits reads a wire of %d bits", k, w->ring);
    return !mpc_failed(p);
}

uint64_t *sec_read_open(struct mpc_party *p, struct mpc_wire w, int k, uint64_t offset)
{
    if (!readable(p, &w, k) || p->role == MPC_HELPER || p->role == MPC_COUNT)
        return NULL;
    bool twin = p->role == MPC_CLEAR;
    const uint64_t *v = twin ? w.x : w.m;
    uint64_t *m = mpc_words(p, w.count), keep = twin ? ~UINT64_C(0) : kern_ring_mask(k);
    for (size_t i = 0; m != NULL && i < w.count; i++)
        m[i] = (v[i] + offset) & keep;
    return m;
}

uint64_t *sec_read_mask(struct mpc_party *p, struct mpc_wire w, int k)
{
    if (!readable(p, &w, k) || p->role != MPC_HELPER)
        return NULL;
    const uint64_t *mask = mpc_mask(p, &w);
    uint64_t *out = mpc_words(p, w.count), keep = kern_ring_mask(k);
    for (size_t i = 0; !mpc_failed(p) && i < w.count; i++)
        out[i] = mask[i] & keep;
    return out;
}

void sec_roots(struct mpc_party *p, size_t n, uint8_t **ret1, uint8_t **ret2)
{
    *ret1 = *ret2 = NULL;
    if (p->s1.present && (*ret1 = mpc_bytes(p, 16 * n)) != NULL)
        mpc_stream_bytes(&p->s1, *ret1, 16 * n);
    if (p->s2.present && (*ret2 = mpc_bytes(p, 16 * n)) != NULL)
        mpc_stream_bytes(&p->s2, *ret2, 16 * n);
}

/* --- point keys of two parties ------------------------------------------------------------------------------------------ */

/* Keys per record: their expansions fill 8 MiB at most. */
static size_t points_chunk(const struct mpc_point_form *form)
{
    enum { WORDS = 1 << 20 };
    size_t chunk = ((size_t)WORDS >> form->h) / (size_t)mpc_point_words(form->payload);
    return chunk < 1 ? 1 : chunk;
}

void sec_points_note(struct mpc_party *p, struct mpc_point_form form, const uint64_t *mask, size_t n, int s, const uint64_t *low, const uint64_t *times)
{
    size_t chunk = points_chunk(&form);
    for (size_t at = 0; at < n && !mpc_failed(p); at += chunk) {
        size_t mark = base_arena_mark(&p->arena);
        form.count = n - at < chunk ? n - at : chunk;
        uint64_t *index = NULL, *rest = NULL;
        if (mask != NULL) {
            index = mpc_words(p, form.count);
            rest = mpc_words(p, form.count);
        }
        for (size_t i = 0; mask != NULL && !mpc_failed(p) && i < form.count; i++) {
            index[i] = mask[at + i] >> s;
            rest[i] = low != NULL ? low[at + i] : mask[at + i] & kern_ring_mask(s);
        }
        mpc_note_points(p, form, index, rest, times == NULL ? NULL : times + at);
        base_arena_release(&p->arena, mark);
    }
}

void sec_points_read(struct mpc_party *p, struct mpc_point_form form, size_t n, sec_points_fn each, void *context)
{
    size_t chunk = points_chunk(&form), width = (size_t)mpc_point_words(form.payload) << form.h;
    for (size_t at = 0; at < n && !mpc_failed(p); at += chunk) {
        size_t mark = base_arena_mark(&p->arena);
        form.count = n - at < chunk ? n - at : chunk;
        const uint8_t *record = mpc_made_bytes(p, p->maker->record_size(form));
        uint64_t *hot = mpc_words(p, form.count * width);
        if (!mpc_failed(p))
            p->status = p->maker->expand(p->maker->context, form, record, hot, &p->error);
        for (size_t i = 0; !mpc_failed(p) && i < form.count; i++)
            each(context, at + i, hot + i * width);
        base_arena_release(&p->arena, mark);
    }
}

/* --- keys as messages: seed words, bit words, then each group's values packed to its ring ------------------------------ */

struct key_parts {
    int levels;        /* seed and bit words per key */
    size_t values;     /* value words per key and group */
    size_t seed_bytes, bit_bytes;
    uint64_t size;
};

static struct key_parts parts_of(const struct kern_dpf_shape *shape, size_t n, bool dcf)
{
    struct key_parts parts = {.levels = dcf ? shape->domain_bits : shape->domain_bits - shape->nu,
                              .values = dcf ? (size_t)shape->domain_bits + 1 : (size_t)1 << shape->nu};
    parts.seed_bytes = n * (size_t)parts.levels * 16;
    parts.bit_bytes = n * kern_bit_words_size(parts.levels);
    parts.size = parts.seed_bytes + parts.bit_bytes;
    for (int g = 0; g < shape->groups; g++)
        parts.size += mpc_bits(n * parts.values, shape->rings[g]);
    return parts;
}

uint64_t sec_dpf_size(const struct kern_dpf_shape *shape, size_t n)
{
    return parts_of(shape, n, false).size;
}

void sec_declare_dealt(struct mpc_party *p, struct mpc_cost cost)
{
    mpc_declare(p, (struct mpc_cost){.offline = cost.offline});
}

uint64_t sec_dcf_size(const struct kern_dpf_shape *shape, size_t n)
{
    return parts_of(shape, n, true).size;
}

static void deal_message(struct mpc_party *p, uint8_t *message, const struct kern_dpf_shape *shape, size_t n,
                         const struct key_parts *parts, const uint64_t *values)
{
    uint8_t *at = message + parts->seed_bytes + parts->bit_bytes;
    for (int g = 0; g < shape->groups; g++) {
        size_t count = n * parts->values;
        p->kern->pack_bits(at, values + (size_t)g * count, count, shape->rings[g]);
        at += mpc_bits(count, shape->rings[g]);
    }
    mpc_deal_both_bytes(p, message, parts->size);
}

static uint8_t *receive_message(struct mpc_party *p, const struct kern_dpf_shape *shape, size_t n,
                                const struct key_parts *parts, uint64_t **ret_values)
{
    size_t count = n * parts->values;
    uint64_t *values = mpc_words(p, (size_t)shape->groups * count);
    uint8_t *message = mpc_bytes(p, parts->size);
    if (mpc_failed(p))
        return NULL;
    mpc_deal_both_bytes(p, message, parts->size);
    if (mpc_failed(p))
        return NULL;
    const uint8_t *at = message + parts->seed_bytes + parts->bit_bytes;
    for (int g = 0; g < shape->groups; g++) {
        p->kern->unpack_bits(values + (size_t)g * count, at, count, shape->rings[g]);
        at += mpc_bits(count, shape->rings[g]);
    }
    *ret_values = values;
    return message;
}

void sec_dpf_deal(struct mpc_party *p, const struct kern_dpf_shape *shape, size_t n, const uint64_t *alpha, const uint64_t *beta,
                  const uint8_t *root1, const uint8_t *root2)
{
    if (mpc_failed(p))
        return;
    struct key_parts parts = parts_of(shape, n, false);
    uint8_t *message = mpc_bytes(p, parts.size);
    uint64_t *values = mpc_words(p, (size_t)shape->groups * n * parts.values);
    if (mpc_failed(p))
        return;
    struct kern_dpf_keys keys = {*shape, n, message, message + parts.seed_bytes, values};
    p->kern->dpf_generate(&keys, alpha, beta, root1, root2);
    deal_message(p, message, shape, n, &parts, values);
}

bool sec_dpf_receive(struct mpc_party *p, const struct kern_dpf_shape *shape, size_t n, struct kern_dpf_keys *ret)
{
    struct key_parts parts = parts_of(shape, n, false);
    uint64_t *values = NULL;
    uint8_t *message = receive_message(p, shape, n, &parts, &values);
    if (message == NULL)
        return false;
    *ret = (struct kern_dpf_keys){*shape, n, message, message + parts.seed_bytes, values};
    return true;
}

void sec_dcf_deal(struct mpc_party *p, const struct kern_dpf_shape *shape, size_t n, const uint64_t *alpha, const uint64_t *beta,
                  const uint8_t *root1, const uint8_t *root2)
{
    if (mpc_failed(p))
        return;
    struct key_parts parts = parts_of(shape, n, true);
    uint8_t *message = mpc_bytes(p, parts.size);
    uint64_t *values = mpc_words(p, (size_t)shape->groups * n * parts.values);
    if (mpc_failed(p))
        return;
    struct kern_dcf_keys keys = {*shape, n, message, message + parts.seed_bytes, values};
    p->kern->dcf_generate(&keys, alpha, beta, root1, root2);
    deal_message(p, message, shape, n, &parts, values);
}

bool sec_dcf_receive(struct mpc_party *p, const struct kern_dpf_shape *shape, size_t n, struct kern_dcf_keys *ret)
{
    struct key_parts parts = parts_of(shape, n, true);
    uint64_t *values = NULL;
    uint8_t *message = receive_message(p, shape, n, &parts, &values);
    if (message == NULL)
        return false;
    *ret = (struct kern_dcf_keys){*shape, n, message, message + parts.seed_bytes, values};
    return true;
}

void sec_sample_below(int64_t *ret_x, size_t count, uint64_t seed, int64_t limit)
{
    const int64_t edges[] = {0, limit - 1, 1, limit / 2};
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        ret_x[i] = i < sizeof edges / sizeof *edges ? edges[i] : (int64_t)((seed >> 33) % (uint64_t)limit);
    }
}
