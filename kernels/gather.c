#include "kernels/gather.h"

/* One key's full evaluation and what is read of it. */
struct reading {
    const struct kern_table *t;
    const struct kern_gate_keys *gate;
    const uint64_t *table; /* of the grid, or the coefficients of segments */
    int s;
    uint64_t *out;
};

static void read_grid(const struct reading *r, size_t i, const uint64_t *hot)
{
    const struct kern_dpf_shape *shape = &r->gate->keys->shape;
    size_t groups = (size_t)shape->groups;
    for (size_t g = 0; g < groups; g++)
        r->out[i * groups + g] = r->t->grid_dot(hot + (g << shape->domain_bits), r->table, r->gate->m[i], shape->domain_bits, r->s);
}

static void read_segments(const struct reading *r, size_t i, const uint64_t *hot)
{
    const struct kern_dpf_shape *shape = &r->gate->keys->shape;
    size_t cells = (size_t)1 << shape->domain_bits, groups = (size_t)shape->groups;
    uint64_t m = r->gate->m[i];
    const uint64_t *c0 = r->table + (cells - (m >> r->s)), *const c[3] = {c0, c0 + 2 * cells, c0 + 4 * cells};
    r->t->segment_dot(r->out + i * (groups / 3), hot, c, m & kern_ring_mask(r->s), cells, (int)(groups / 3));
}

static void read_keys(const struct reading *r, const struct kern_gate_room *room, void (*read)(const struct reading *r, size_t i, const uint64_t *hot))
{
    const struct kern_gate_keys *g = r->gate;
    size_t width = (size_t)g->keys->shape.groups << g->keys->shape.domain_bits;
    for (size_t at = 0; at < g->count; at += room->batch) {
        size_t batch = g->count - at < room->batch ? g->count - at : room->batch;
        r->t->dpf_full(g->keys, g->side, g->root, g->first + at, batch, room->hot, room->scratch);
        for (size_t i = 0; i < batch; i++)
            read(r, at + i, room->hot + i * width);
    }
}

void kern_grid_sums(const struct kern_table *t, const struct kern_gate_keys *gate, const uint64_t *table, int s, uint64_t *out,
                    const struct kern_gate_room *room)
{
    if (t->more == NULL || !t->more->grid_sums(gate, table, s, out, room))
        read_keys(&(struct reading){t, gate, table, s, out}, room, read_grid);
}

void kern_segment_sums(const struct kern_table *t, const struct kern_gate_keys *gate, const uint64_t *c, int s, uint64_t *out,
                       const struct kern_gate_room *room)
{
    if (t->more == NULL || !t->more->segment_sums(gate, c, s, out, room))
        read_keys(&(struct reading){t, gate, c, s, out}, room, read_segments);
}
