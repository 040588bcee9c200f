/* Point functions: kernels/fss/dpf.c for a device. */
#include "kernels/cuda/fss.cuh"
#include "kernels/cuda/gates.cuh"
#include "kernels/cuda/slots.cuh"

namespace KERN_CUDA_NAMESPACE {

struct batch batch_in(struct call *call, int bits, int levels, size_t count, const uint8_t *seed_words, const uint8_t *bit_words)
{
    size_t bit_size = kern_bit_words_size(levels);
    return {bits, levels, count, call_in(call, (uint8_t *)(uintptr_t)seed_words, 16 * count * (size_t)levels),
            call_in(call, (uint8_t *)(uintptr_t)bit_words, count * bit_size), bit_size};
}

struct batch batch_out(struct call *call, int bits, int levels, size_t count, uint8_t *seed_words, uint8_t *bit_words)
{
    size_t bit_size = kern_bit_words_size(levels);
    return {bits, levels, count, call_out(call, seed_words, 16 * count * (size_t)levels),
            (uint8_t *)call_out_kept(call, bit_words, count * bit_size), bit_size};
}

/* What leaves and entries of a key are: copies entries to a leaf, `blocks` blocks of its conversion. */
struct leaves {
    int copies, groups, blocks, side;
    struct rings rings;
};

static struct leaves leaves_of(const struct kern_dpf_shape *shape, int side)
{
    return {1 << shape->nu, shape->groups, ((shape->groups << shape->nu) + 1) / 2, side, rings_of(shape)};
}

/* ---- generation ---- */

static __device__ void final_words(uint64_t *final, const struct leaves *l, struct pair *pair, size_t lane, size_t count, const uint64_t *alpha,
                                   const uint64_t *beta, const uint64_t *fixed)
{
    for (int j = 0; j < l->blocks; j++) {
        struct kern_block words[2][QUAD];
        for (int party = 0; party < 2; party++)
            hash(words[party], pair->node[party], fixed, KERN_FSS_LEAF, KERN_FSS_LEAF, 0, j + 1);
        for (int i = 0; i < QUAD; i++)
            for (int half = 0; half < 2; half++) {
                int at = 2 * j + half, c = at / l->groups, g = at % l->groups;
                size_t key = lane + (size_t)i;
                if (c >= l->copies || key >= count)
                    continue;
                uint64_t hot = (((uint64_t)c ^ (alpha[i] & (uint64_t)(l->copies - 1))) - 1) >> 63;
                uint64_t value = kern_bit_mask(hot) & beta[(size_t)g * count + key];
                value += words[1][i].word[half] - words[0][i].word[half];
                final[((size_t)g * count + key) * (size_t)l->copies + (size_t)c] =
                    negate_if(value, kern_bit_mask(pair->node[1][i].word[0] & 1)) & l->rings.mask[g];
            }
    }
}

static __global__ void __launch_bounds__(FSS_THREADS)
    dpf_generate_kernel(struct batch keys, uint64_t *final, struct leaves l, const uint64_t *alpha, const uint64_t *beta, const uint8_t *root0,
                        const uint8_t *root1, const uint64_t *fixed)
{
    size_t lane = first_lane();
    uint64_t at[QUAD];
    struct pair pair;
    if (lane >= keys.count)
        return;
    read_lanes(at, alpha, lane, keys.count);
    pair_start(&pair, root0, root1, lane, keys.count);
    for (int level = 0; level < keys.levels; level++)
        pair_advance(&pair, &keys, lane, at, level, fixed);
    final_words(final, &l, &pair, lane, keys.count, at, beta, fixed);
}

enum base_status dpf_generate(void *device, const struct kern_dpf_keys *keys, const uint64_t *alpha, const uint64_t *beta,
                              const uint8_t *root0, const uint8_t *root1, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    const struct kern_dpf_shape *shape = &keys->shape;
    size_t n = keys->count, groups = (size_t)shape->groups;
    struct batch there = batch_out(&call, shape->domain_bits, shape->domain_bits - shape->nu, n, keys->seed_words, keys->bit_words);
    uint64_t *final = call_out(&call, keys->final_words, (groups * n) << shape->nu);
    const uint64_t *points = call_in(&call, alpha, n), *payloads = call_in(&call, beta, groups * n);
    const uint8_t *roots[2] = {call_in(&call, root0, 16 * n), call_in(&call, root1, 16 * n)};
    LAUNCH(&call, dpf_generate_kernel, quads(n), FSS_THREADS, 0, there, final, leaves_of(shape, 0), points, payloads, roots[0], roots[1],
           call.device->fixed_keys);
    return call_end(&call);
}

/* ---- full evaluation: a level to a launch, all trees side by side, node j of tree i at i 2^level + j ---- */

static __global__ void roots_kernel(struct kern_block *nodes, const uint8_t *root, size_t count, int side)
{
    size_t i = thread_number();
    if (i < count)
        nodes[i] = kern_fss_root(root + 16 * i, side);
}

/* Two parents to a thread: places 0 to 3 are left, right, left, right. */
static __global__ void __launch_bounds__(FSS_THREADS)
    expand_kernel(struct kern_block *out, const struct kern_block *in, size_t parents, struct batch keys, int level, const uint64_t *fixed)
{
    size_t first = 2 * thread_number();
    if (first >= parents)
        return;
    size_t parent[2] = {first, lane_or_last(first + 1, parents)};
    struct kern_block nodes[2] = {in[parent[0]], in[parent[1]]}, children[QUAD] = {nodes[0], nodes[0], nodes[1], nodes[1]}, words[2];
    hash(children, children, fixed, KERN_FSS_LEFT, KERN_FSS_RIGHT, place_mask(1) | place_mask(3), 0);
    for (int i = 0; i < 2; i++) { /* a parent that is repeated is written twice, alike */
        corrections(words, &keys, parent[i] >> level, level);
        for (int right = 0; right < 2; right++)
            out[2 * parent[i] + (size_t)right] = corrected(children[2 * i + right], nodes[i], words[right]);
    }
}

/* Four blocks of leaf conversions to a thread. final: [groups][stride], from these keys on. */
static __global__ void __launch_bounds__(FSS_THREADS)
    leaf_kernel(uint64_t *out, const struct kern_block *nodes, size_t count, int levels, struct leaves l, const uint64_t *final,
                size_t final_stride, const uint64_t *fixed)
{
    size_t blocks = (size_t)l.blocks, total = (count << levels) * blocks, first = first_lane(), width = (size_t)l.copies << levels;
    struct kern_block leaf[QUAD], words[QUAD];
    if (first >= total)
        return;
    for (int i = 0; i < QUAD; i++) {
        size_t at = lane_or_last(first + (size_t)i, total);
        leaf[i] = nodes[at / blocks];
        words[i] = kern_fss_counted(leaf[i], (int)(at % blocks) + 1);
    }
    hash(words, words, fixed, KERN_FSS_LEAF, KERN_FSS_LEAF, 0, 0);
    for (int i = 0; i < QUAD; i++) {
        size_t block = first + (size_t)i, node = block / blocks, key = node >> levels, at = node & (((size_t)1 << levels) - 1);
        uint64_t control = kern_bit_mask(leaf[i].word[0] & 1), sign = kern_bit_mask((uint64_t)l.side);
        for (size_t half = 0; block < total && half < 2; half++) {
            size_t word = 2 * (block % blocks) + half, c = word / (size_t)l.groups, g = word % (size_t)l.groups;
            if (c >= (size_t)l.copies)
                continue;
            uint64_t value = words[i].word[half] + (control & final[g * final_stride + key * (size_t)l.copies + c]);
            out[(key * (size_t)l.groups + g) * width + at * (size_t)l.copies + c] = negate_if(value, sign) & l.rings.mask[g];
        }
    }
}

/* What a full evaluation of up to `room` keys at a time needs on the device. */
struct full {
    const struct kern_dpf_keys *keys;
    int side, levels;
    size_t room;
    struct kern_block *nodes[2];
    uint64_t *hot; /* [room][groups][2^domain_bits] */
    size_t used;   /* work area before what a part of the keys takes */
};

enum { FULL_MOST_KEYS = 1 << 15 }; /* a dimension of a grid ends at 2^16 */

static struct full full_start(struct call *call, const struct kern_dpf_keys *keys, int side, size_t count)
{
    const struct kern_dpf_shape *shape = &keys->shape;
    struct full full = {keys, side, shape->domain_bits - shape->nu, 0, {}, NULL, 0};
    size_t groups = (size_t)shape->groups, entries = groups << shape->domain_bits, nodes = (size_t)1 << full.levels, free_bytes;
    size_t words = 16 * (size_t)full.levels + kern_bit_words_size(full.levels) + 16 + ((8 * groups) << shape->nu);
    free_bytes = call->status == BASE_OK ? call->queue->work_bytes - call->queue->work_used : 0;
    full.room = free_bytes < 65536 ? 0 : (free_bytes - 65536) / (8 * entries + 32 * nodes + words + groups);
    full.room = full.room > count ? count : full.room;
    full.room = full.room > FULL_MOST_KEYS ? (size_t)FULL_MOST_KEYS : full.room;
    if (full.room == 0 && call->status == BASE_OK)
        call->status = BASE_ERR_SUPPORT;
    for (int i = 0; i < 2; i++)
        full.nodes[i] = (struct kern_block *)call_room(call, 16 * full.room * nodes);
    full.hot = (uint64_t *)call_room(call, 8 * full.room * entries);
    full.used = call->queue->work_used;
    return full;
}

/* Evaluates keys [first, first + count), count <= full->room, into full->hot. */
static void full_evaluate(struct call *call, const struct full *full, const uint8_t *root, size_t first, size_t count)
{
    const struct kern_dpf_keys *keys = full->keys;
    const struct kern_dpf_shape *shape = &keys->shape;
    size_t levels = (size_t)full->levels, copies = (size_t)1 << shape->nu;
    call->queue->work_used = full->used;
    struct batch there = batch_in(call, shape->domain_bits, full->levels, count, keys->seed_words + 16 * first * levels,
                                  keys->bit_words + first * kern_bit_words_size(full->levels));
    const uint8_t *roots = call_in(call, root + 16 * first, 16 * count);
    uint64_t *final = (uint64_t *)call_room(call, 8 * count * copies * (size_t)shape->groups);
    call_upload_rows(call, final, 8 * count * copies, keys->final_words + first * copies, 8 * keys->count * copies, 8 * count * copies,
                     (size_t)shape->groups);
    LAUNCH(call, roots_kernel, cover(count, FSS_THREADS), FSS_THREADS, 0, full->nodes[0], roots, count, full->side);
    for (int level = 0; level < full->levels; level++) {
        size_t parents = count << level;
        LAUNCH(call, expand_kernel, cover((parents + 1) / 2, FSS_THREADS), FSS_THREADS, 0, full->nodes[(level + 1) % 2], full->nodes[level % 2],
               parents, there, level, call->device->fixed_keys);
    }
    struct leaves l = leaves_of(shape, full->side);
    LAUNCH(call, leaf_kernel, quads((count << full->levels) * (size_t)l.blocks), FSS_THREADS, 0, full->hot, full->nodes[full->levels % 2], count,
           full->levels, l, final, count * copies, call->device->fixed_keys);
}

enum base_status dpf_full(void *device, const struct kern_dpf_keys *keys, int side, const uint8_t *root, size_t first, size_t count,
                          uint64_t *out, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    struct full full = full_start(&call, keys, side, count);
    size_t entries = (size_t)keys->shape.groups << keys->shape.domain_bits;
    for (size_t at = 0; at < count && call.status == BASE_OK; at += full.room) {
        size_t n = count - at < full.room ? count - at : full.room;
        full_evaluate(&call, &full, root, first + at, n);
        call_download_rows(&call, out + at * entries, 8 * n * entries, full.hot, 8 * n * entries, 1, ~UINT64_C(0));
        if (at + n < count)
            call_flush(&call);
    }
    return call_end(&call);
}

/* ---- gates: the evaluation and the sums over it ---- */

/* Both: of each part of the keys the sums that its evaluation gives, `width` of a key. */
struct gate {
    const uint64_t *table, *m;
    uint64_t *sums;
    size_t width;
    int s;
    bool segments;
};

static void gate_sums(struct call *call, const struct gate *gate, const struct full *full, size_t at, size_t n)
{
    int h = full->keys->shape.domain_bits;
    uint64_t *sums = gate->sums + at * gate->width;
    if (gate->segments)
        segment_sums(call, sums, full->hot, gate->table, gate->m + at, gate->s, (size_t)1 << h, n, gate->width);
    else
        grid_sums(call, sums, full->hot, gate->table, gate->m + at, h, gate->s, n, gate->width);
}

static enum base_status run_gate(void *device, const struct kern_gate_keys *g, const struct kern_product *table, int s, bool segments, uint64_t *out,
                                 bool later, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    struct gate gate = {row_of_words(&call, table), call_in(&call, g->m, g->count), NULL, (size_t)g->keys->shape.groups / (segments ? 3 : 1), s, segments};
    gate.sums = call_out(&call, out, g->count * gate.width);
    struct full full = full_start(&call, g->keys, g->side, g->count);
    for (size_t at = 0; at < g->count && call.status == BASE_OK; at += full.room) {
        size_t n = g->count - at < full.room ? g->count - at : full.room;
        full_evaluate(&call, &full, g->root, g->first + at, n);
        gate_sums(&call, &gate, &full, at, n);
    }
    return later ? call_leave(&call) : call_end(&call);
}

enum base_status gate_grid(void *device, const struct kern_gate_keys *gate, const struct kern_product *table, int s, uint64_t *out,
                           bool later, struct base_error *error)
{
    return run_gate(device, gate, table, s, false, out, later, error);
}

enum base_status gate_segment(void *device, const struct kern_gate_keys *gate, const struct kern_product *table, int s, uint64_t *out,
                              bool later, struct base_error *error)
{
    return run_gate(device, gate, table, s, true, out, later, error);
}

/* ---- one point per key ---- */

/* Words of entry c = x mod 2^nu: `groups` consecutive ones from c * groups on, in blocks that are the lane's own. */
static __device__ void point_outputs(uint64_t *out, const struct leaves *l, const struct kern_block node[QUAD], size_t lane, size_t count,
                                     const uint64_t x[QUAD], const uint64_t *final, const uint64_t *fixed)
{
    size_t groups = (size_t)l->groups, copies = (size_t)l->copies;
    uint64_t sign = kern_bit_mask((uint64_t)l->side);
    for (size_t j = 0; j < (groups + 1) / 2; j++) {
        struct kern_block words[QUAD];
        for (int i = 0; i < QUAD; i++)
            words[i] = kern_fss_counted(node[i], (int)((x[i] & (copies - 1)) * groups / 2 + j + 1));
        hash(words, words, fixed, KERN_FSS_LEAF, KERN_FSS_LEAF, 0, 0);
        for (int i = 0; i < QUAD; i++)
            for (size_t half = 0; half < 2; half++) {
                size_t entry = x[i] & (copies - 1), key = lane + (size_t)i, odd = entry * groups % 2, g = 2 * j + half - odd;
                if (2 * j + half < odd || g >= groups || key >= count)
                    continue;
                uint64_t value = words[i].word[half] + (kern_bit_mask(node[i].word[0] & 1) & final[(g * count + key) * copies + entry]);
                out[g * count + key] = negate_if(value, sign) & l->rings.mask[g];
            }
    }
}

static __global__ void __launch_bounds__(FSS_THREADS)
    dpf_point_kernel(uint64_t *out, struct batch keys, const uint64_t *final, struct leaves l, const uint8_t *root, const uint64_t *x,
                     const uint64_t *fixed)
{
    size_t lane = first_lane();
    struct kern_block node[QUAD], child[QUAD], words[2];
    uint64_t at[QUAD];
    if (lane >= keys.count)
        return;
    for (int i = 0; i < QUAD; i++) {
        size_t key = lane_or_last(lane + (size_t)i, keys.count);
        node[i] = kern_fss_root(root + 16 * key, l.side);
        at[i] = x[key];
    }
    for (int level = 0; level < keys.levels; level++) {
        hash(child, node, fixed, KERN_FSS_LEFT, KERN_FSS_RIGHT, right_places(at, keys.bits, level), 0);
        for (int i = 0; i < QUAD; i++) {
            corrections(words, &keys, lane_or_last(lane + (size_t)i, keys.count), level);
            node[i] = corrected(child[i], node[i], words[at[i] >> (keys.bits - 1 - level) & 1]);
        }
    }
    point_outputs(out, &l, node, lane, keys.count, at, final, fixed);
}

enum base_status dpf_point(void *device, const struct kern_dpf_keys *keys, int side, const uint8_t *root, const uint64_t *x, uint64_t *out,
                           struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    const struct kern_dpf_shape *shape = &keys->shape;
    size_t n = keys->count, groups = (size_t)shape->groups;
    struct batch there = batch_in(&call, shape->domain_bits, shape->domain_bits - shape->nu, n, keys->seed_words, keys->bit_words);
    const uint64_t *final = call_in(&call, keys->final_words, (groups * n) << shape->nu), *points = call_in(&call, x, n);
    const uint8_t *roots = call_in(&call, root, 16 * n);
    uint64_t *shares = call_out(&call, out, groups * n);
    LAUNCH(&call, dpf_point_kernel, quads(n), FSS_THREADS, 0, shares, there, final, leaves_of(shape, side), roots, points,
           call.device->fixed_keys);
    return call_end(&call);
}

}
