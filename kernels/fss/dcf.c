/* Distributed comparison functions with arithmetic payloads, one value word per level and group [Boyle et al.,
 * EUROCRYPT 2021]. A child's value comes from the PARENT seed under keys of its own, never from the child seed: the seed
 * word of a level is the XOR of both parties' lost seeds, so each party can compute the other's lost seed, and a value
 * word masked only by conversions of those two would tell it alpha bit by bit. */
#include "kernels/fss/generate.h"

#include "base/memory.h"

enum {
    LANES = 512,          /* points of one batch of walks */
    PROGRAM = 2048,       /* blocks of their correction and value words */
    SHARED_POINTS = 16,   /* from here on the points of one key are sorted and share the nodes above them */
    SORT_BITS = 9,
};

static int value_blocks(const struct kern_dpf_shape *shape)
{
    return (shape->groups + 1) / 2;
}

/* ---- generation ---- */

/* Value conversions of one batch: [party][left, right][count][blocks]. */
struct value_batch {
    struct kern_block child[2][2][KERN_FSS_BATCH * KERN_FSS_VALUE_BLOCKS];
    uint64_t sum[KERN_MAX_GROUPS][KERN_FSS_BATCH]; /* party 1 minus party 0 along the path so far */
};

static void convert_seeds(const struct kern_fss_core *core, enum kern_fss_key key, const struct kern_block *node,
                          size_t count, int blocks, struct kern_block *out)
{
    for (size_t i = 0; i < count; i++)
        for (int j = 0; j < blocks; j++)
            out[i * (size_t)blocks + (size_t)j] = kern_fss_counted(kern_fss_seed(node[i]), j + 1);
    core->hash(key, out, out, count * (size_t)blocks);
}

static uint64_t word_of(const struct kern_block *blocks, size_t index, int per, int group)
{
    return blocks[index * (size_t)per + (size_t)group / 2].word[group % 2];
}

static void level_values(const struct kern_fss_core *core, const struct kern_dcf_keys *keys, size_t at, size_t count,
                         int level, const uint64_t *alpha, const uint64_t *beta, const struct kern_fss_pair *pair,
                         struct value_batch *values)
{
    const struct kern_dpf_shape *shape = &keys->shape;
    int per = value_blocks(shape), k = shape->domain_bits;
    for (int party = 0; party < 2; party++) {
        convert_seeds(core, KERN_FSS_VALUE_LEFT, pair->node[party], count, per, values->child[party][0]);
        convert_seeds(core, KERN_FSS_VALUE_RIGHT, pair->node[party], count, per, values->child[party][1]);
    }
    for (int g = 0; g < shape->groups; g++) {
        uint64_t mask = kern_ring_mask(shape->rings[g]);
        for (size_t i = 0; i < count; i++) {
            uint64_t right = kern_bit_mask(alpha[at + i] >> (k - 1 - level) & 1);
            uint64_t sign = kern_bit_mask(pair->node[1][i].word[0] & 1), *sum = &values->sum[g][i];
            uint64_t on_left = word_of(values->child[1][0], i, per, g) - word_of(values->child[0][0], i, per, g);
            uint64_t on_right = word_of(values->child[1][1], i, per, g) - word_of(values->child[0][1], i, per, g);
            uint64_t lose = (on_left & right) | (on_right & ~right), keep = (on_right & right) | (on_left & ~right);
            uint64_t word = lose - *sum + (right & beta[(size_t)g * keys->count + at + i]);
            word = ((word ^ sign) - sign) & mask;
            keys->value_words[((size_t)g * keys->count + at + i) * (size_t)(k + 1) + (size_t)level] = word;
            *sum += ((word ^ sign) - sign) - keep;
        }
    }
}

static void last_values(const struct kern_fss_core *core, const struct kern_dcf_keys *keys, size_t at, size_t count,
                        const struct kern_fss_pair *pair, struct value_batch *values)
{
    const struct kern_dpf_shape *shape = &keys->shape;
    int per = value_blocks(shape), k = shape->domain_bits;
    for (int party = 0; party < 2; party++)
        convert_seeds(core, KERN_FSS_LEAF, pair->node[party], count, per, values->child[party][0]);
    for (int g = 0; g < shape->groups; g++)
        for (size_t i = 0; i < count; i++) {
            uint64_t sign = kern_bit_mask(pair->node[1][i].word[0] & 1);
            uint64_t word = word_of(values->child[1][0], i, per, g) - word_of(values->child[0][0], i, per, g);
            word = ((word - values->sum[g][i]) ^ sign) - sign;
            keys->value_words[((size_t)g * keys->count + at + i) * (size_t)(k + 1) + (size_t)k] =
                word & kern_ring_mask(shape->rings[g]);
        }
}

void kern_fss_dcf_generate(const struct kern_fss_core *core, const struct kern_dcf_keys *keys, const uint64_t *alpha,
                           const uint64_t *beta, const uint8_t *root0, const uint8_t *root1)
{
    int k = keys->shape.domain_bits;
    struct kern_fss_pair pair;
    struct value_batch values;
    for (size_t at = 0; at < keys->count; at += KERN_FSS_BATCH) {
        size_t n = keys->count - at < KERN_FSS_BATCH ? keys->count - at : KERN_FSS_BATCH;
        struct kern_fss_trail trail = {k, k, alpha + at, keys->seed_words + at * (size_t)k * 16,
                                       keys->bit_words + at * kern_bit_words_size(k)};
        kern_fss_pair_start(&pair, &trail, root0 + 16 * at, root1 + 16 * at, n);
        memset(values.sum, 0, sizeof values.sum);
        for (int i = 0; i < k; i++) {
            level_values(core, keys, at, n, i, alpha, beta, &pair, &values);
            kern_fss_pair_advance(core, &pair, &trail, i, n);
        }
        last_values(core, keys, at, n, &pair, &values);
    }
    base_wipe(&pair, sizeof pair);
    base_wipe(&values, sizeof values);
}

/* ---- evaluation ---- */

struct eval_batch {
    struct kern_block node[LANES];
    struct kern_block value[LANES * KERN_FSS_VALUE_BLOCKS];
    struct kern_block program[PROGRAM];
    struct kern_block last[LANES]; /* conversions of end nodes, one block of each at a time */
    uint64_t x[LANES];             /* of lanes */
    uint32_t offset[LANES];
    uint16_t order[LANES];         /* points, sorted */
    uint16_t owner[LANES];         /* the lane that carries sorted point j */
};

/* Correction and value words of one key in the order in which walks read them. */
static void write_program(const struct kern_dcf_keys *keys, size_t key, struct kern_block *program)
{
    int k = keys->shape.domain_bits, groups = keys->shape.groups, per = value_blocks(&keys->shape);
    size_t bit_size = kern_bit_words_size(k);
    for (int level = 0; level < k; level++, program += 2 + per) {
        kern_fss_corrections(program, keys->seed_words + 16 * (key * (size_t)k + (size_t)level),
                             keys->bit_words + key * bit_size, level);
        memset(program + 2, 0, (size_t)per * sizeof *program);
        for (int g = 0; g < groups; g++)
            program[2 + g / 2].word[g % 2] =
                keys->value_words[((size_t)g * keys->count + key) * (size_t)(k + 1) + (size_t)level];
    }
}

/* Output of lane i for point `point` of key `key`, once the end conversions were added to the lane's value. */
static void write_output(const struct kern_dcf_keys *keys, int side, const struct eval_batch *batch, size_t lane,
                         size_t key, size_t points, size_t point, uint64_t *out)
{
    int k = keys->shape.domain_bits, per = value_blocks(&keys->shape);
    uint64_t sign = kern_bit_mask((uint64_t)side), control = kern_bit_mask(batch->node[lane].word[0] & 1);
    for (int g = 0; g < keys->shape.groups; g++) {
        size_t row = (size_t)g * keys->count + key;
        uint64_t value = word_of(batch->value, lane, per, g);
        value += control & keys->value_words[row * (size_t)(k + 1) + (size_t)k];
        out[row * points + point] = ((value ^ sign) - sign) & kern_ring_mask(keys->shape.rings[g]);
    }
}

static void add_end_values(const struct kern_fss_core *core, struct eval_batch *batch, size_t lanes, int per)
{
    for (int j = 0; j < per; j++) {
        for (size_t i = 0; i < lanes; i++)
            batch->last[i] = kern_fss_counted(kern_fss_seed(batch->node[i]), j + 1);
        core->hash(KERN_FSS_LEAF, batch->last, batch->last, lanes);
        for (size_t i = 0; i < lanes; i++) {
            struct kern_block *value = &batch->value[i * (size_t)per + (size_t)j];
            value->word[0] += batch->last[i].word[0];
            value->word[1] += batch->last[i].word[1];
        }
    }
}

/* Counting sort of `count` points of one key by the `digit_bits` bits below their `common` leading bits. */
static int sort_points(struct eval_batch *batch, const uint64_t *x, size_t count, int k, int *ret_common)
{
    uint64_t differ = 0;
    for (size_t i = 0; i < count; i++)
        differ |= x[i] ^ x[0];
    int open_bits = differ == 0 ? 0 : 64 - __builtin_clzll(differ);
    int digit_bits = open_bits < SORT_BITS ? open_bits : SORT_BITS;
    while (digit_bits > 3 && (size_t)1 << digit_bits > 2 * count)
        digit_bits--;
    uint16_t place[(1 << SORT_BITS) + 1] = {0};
    int shift = open_bits - digit_bits;
    uint64_t mask = (UINT64_C(1) << digit_bits) - 1;
    for (size_t i = 0; i < count; i++)
        place[(x[i] >> shift & mask) + 1]++;
    for (size_t i = 0; i < mask; i++)
        place[i + 1] = (uint16_t)(place[i + 1] + place[i]);
    for (size_t i = 0; i < count; i++)
        batch->order[place[x[i] >> shift & mask]++] = (uint16_t)i;
    *ret_common = k - open_bits;
    return digit_bits;
}

/* Gives every distinct prefix of `length` bits a lane of its own, copied from the lane of its shorter prefix; with
 * length k every point gets one. Lanes are in the order of the prefixes, so copying from the last one down is safe. */
static size_t split_lanes(struct eval_batch *batch, const uint64_t *x, size_t count, int k, int length, int per)
{
    uint16_t first[LANES];
    size_t lanes = 0;
    for (size_t j = 0; j < count; j++)
        if (length == k || j == 0 ||
            (x[batch->order[j]] ^ x[batch->order[j - 1]]) >> (k - length) != 0)
            first[lanes++] = (uint16_t)j;
    for (size_t lane = lanes, end = count; lane-- > 0; end = first[lane]) {
        size_t from = batch->owner[first[lane]];
        batch->node[lane] = batch->node[from];
        for (size_t j = 0; j < (size_t)per; j++)
            batch->value[lane * (size_t)per + j] = batch->value[from * (size_t)per + j];
        batch->x[lane] = x[batch->order[first[lane]]];
        for (size_t j = first[lane]; j < end; j++)
            batch->owner[j] = (uint16_t)lane;
    }
    return lanes;
}

/* Many points of one key: the levels above the first differing bit once, then a few levels at a time with one lane for
 * each distinct prefix, then every point alone. */
static void eval_shared(const struct kern_fss_core *core, const struct kern_dcf_keys *keys, int side,
                        const uint8_t *root, const uint64_t *x, size_t count, struct eval_batch *batch)
{
    int k = keys->shape.domain_bits, per = value_blocks(&keys->shape), common;
    int digit_bits = sort_points(batch, x, count, k, &common);
    struct kern_fss_walk walk = {.lanes = 1, .state = batch->node, .x = batch->x, .program = batch->program, .k = k,
                                 .to = common, .value_blocks = per, .value = batch->value};
    batch->node[0] = kern_fss_root(root, side);
    batch->x[0] = x[0];
    memset(batch->value, 0, (size_t)per * sizeof *batch->value);
    memset(batch->owner, 0, count * sizeof *batch->owner);
    core->walk_value(&walk);
    for (int step = 3; walk.to < common + digit_bits; step = 2) {
        walk.from = walk.to;
        walk.to = walk.from + step < common + digit_bits ? walk.from + step : common + digit_bits;
        walk.lanes = split_lanes(batch, x, count, k, walk.to, per);
        core->walk_value(&walk);
    }
    walk.from = walk.to;
    walk.to = k;
    walk.lanes = split_lanes(batch, x, count, k, k, per);
    core->walk_value(&walk);
    add_end_values(core, batch, count, per);
}

/* Few points of many keys: one lane for each point, each with its key's program. */
static void eval_lanes(const struct kern_fss_core *core, const struct kern_dcf_keys *keys, int side, const uint8_t *root,
                       const uint64_t *x, size_t points, uint64_t *out, struct eval_batch *batch)
{
    int k = keys->shape.domain_bits, per = value_blocks(&keys->shape);
    size_t length = (size_t)k * (size_t)(2 + per), room = PROGRAM / length;
    if (room > LANES / points)
        room = LANES / points;
    for (size_t at = 0; at < keys->count; at += room) {
        size_t n = keys->count - at < room ? keys->count - at : room;
        for (size_t i = 0; i < n; i++) {
            write_program(keys, at + i, batch->program + i * length);
            for (size_t j = 0; j < points; j++) {
                batch->node[i * points + j] = kern_fss_root(root + 16 * (at + i), side);
                batch->offset[i * points + j] = (uint32_t)(i * length);
            }
        }
        memset(batch->value, 0, n * points * (size_t)per * sizeof *batch->value);
        struct kern_fss_walk walk = {.lanes = n * points, .state = batch->node, .x = x + at * points,
                                     .program = batch->program, .offset = batch->offset, .k = k, .to = k,
                                     .value_blocks = per, .value = batch->value};
        core->walk_value(&walk);
        add_end_values(core, batch, n * points, per);
        for (size_t i = 0; i < n * points; i++)
            write_output(keys, side, batch, i, at + i / points, points, i % points, out);
    }
}

void kern_fss_dcf_eval(const struct kern_fss_core *core, const struct kern_dcf_keys *keys, int side, const uint8_t *root,
                       const uint64_t *x, size_t points, uint64_t *out)
{
    struct eval_batch batch;
    size_t parts = (points + LANES - 1) / LANES, part = parts == 0 ? 0 : (points + parts - 1) / parts;
    if (points > 0 && points < SHARED_POINTS)
        eval_lanes(core, keys, side, root, x, points, out, &batch);
    for (size_t key = 0; points >= SHARED_POINTS && key < keys->count; key++) {
        write_program(keys, key, batch.program);
        for (size_t at = 0; at < points; at += part) {
            size_t n = points - at < part ? points - at : part;
            eval_shared(core, keys, side, root + 16 * key, x + key * points + at, n, &batch);
            for (size_t j = 0; j < n; j++)
                write_output(keys, side, &batch, j, key, points, at + batch.order[j], out);
        }
    }
    base_wipe(&batch, sizeof batch);
}
