/* Views of all parties over ALL randomness, for tests of exact privacy: see test_views.c. Tests include this once. */
#ifndef CACHET_TESTS_PROTOCOLS_VIEWS_H
#define CACHET_TESTS_PROTOCOLS_VIEWS_H

#include "tests/protocols/check.h"

struct view_case {
    const char *name;
    trio_program_fn program;
    int k[2], bound[2]; /* of the inputs; k = 0: no second input */
    int ring, f;
    bool gate_only;
    int64_t secret[2][2];
    int to; /* the party that a shortcut shows something */
};

enum { MAX_BITS = 21 };
/* --- who receives ----------------------------------------------------------------------------------------------------------------- */

/* Of a divided field, one party receives some elements and the other one the rest; an element is on either side in a field, and may be on
 * other sides in others. So whole fields go to one party, in four patterns; fields_dealt counts at each role. */
static enum pattern { ALL_TO_P2, ALL_TO_P1, IN_TURN_P2_FIRST, IN_TURN_P1_FIRST, PATTERNS } pattern;
static size_t fields_dealt[3];

static size_t send_whole(const struct mpc_party *p, size_t count, int ring)
{
    bool odd = fields_dealt[p->role]++ % 2 == 1;
    (void)ring;
    return pattern == ALL_TO_P2 || pattern == (odd ? IN_TURN_P1_FIRST : IN_TURN_P2_FIRST) ? count : 0;
}

/* --- views ------------------------------------------------------------------------------------------------------------------------ */

/* LSD radix sort: the number of assignments is a power of two and large. */
static void sort(uint64_t *v, size_t count)
{
    uint64_t *other = must_alloc(count, sizeof *other), *from = v, *to = other;
    for (int shift = 0; shift < 64; shift += 8) {
        size_t start[257] = {0};
        for (size_t i = 0; i < count; i++)
            start[(from[i] >> shift & 255) + 1]++;
        for (int b = 0; b < 256; b++)
            start[b + 1] += start[b];
        for (size_t i = 0; i < count; i++)
            to[start[from[i] >> shift & 255]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    free(other);
}

static void run(const struct view_case *c, const int64_t secret[2], struct tap *tap)
{
    size_t n = tap->elements;
    int64_t *x = must_alloc(2 * n, sizeof *x);
    struct trio trio = {0};
    struct base_error error = {0};
    for (size_t i = 0; i < 2 * n; i++)
        x[i] = secret[i / n];
    struct trio_input inputs[] = {{x, n, c->k[0], 0, c->bound[0]}, {x + n, n, c->k[1], 0, c->bound[1]}};
    struct trio_job job = {.program = c->program, .context = c, .inputs = inputs, .input_count = c->k[1] > 0 ? 2 : 1, .tap = tap,
                           .split = send_whole, .no_twin = true, .arena_size = (size_t)1 << 32};
    memset(fields_dealt, 0, sizeof fields_dealt);
    check_ok(trio_run(&job, &trio, &error), &error, c->name);
    trio_finish(&trio);
    free(x);
}

/* Views of all parties for one secret, sorted: [3][2^bits]. */
static uint64_t *views(const struct view_case *c, const int64_t secret[2], size_t *ret_count)
{
    struct tap tap = {.mode = TAP_DRY, .elements = 1};
    run(c, secret, &tap);
    tap_finish(&tap);
    int bits = tap_enumerate(&tap);
    if (bits > MAX_BITS)
        fail_msg("%s: %d bits of randomness are too many to enumerate", c->name, bits);
    run(c, secret, &tap);
    uint64_t *seen = must_alloc(3 * tap.elements, sizeof *seen);
    for (int party = 0; party < 3; party++) {
        for (size_t i = 0; i < tap.elements; i++) {
            int seen_bits;
            seen[(size_t)party * tap.elements + i] = tap_seen(&tap, party, i, &seen_bits);
            assert_true(seen_bits > 0);
        }
        sort(seen + (size_t)party * tap.elements, tap.elements);
    }
    *ret_count = 3 * tap.elements;
    tap_finish(&tap);
    return seen;
}

static bool same_views(const struct view_case *c)
{
    size_t count[2];
    uint64_t *seen[2];
    for (int s = 0; s < 2; s++)
        seen[s] = views(c, c->secret[s], &count[s]);
    assert_int_equal(count[0], count[1]);
    bool same = memcmp(seen[0], seen[1], count[0] * sizeof **seen) == 0;
    free(seen[0]);
    free(seen[1]);
    return same;
}

#endif
