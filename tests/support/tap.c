#include "tests/support/tap.h"

#include <stdlib.h>
#include <string.h>

static _Thread_local struct tap *attached;
static _Thread_local int attached_party = -1;

void tap_attach(struct tap *tap, int party)
{
    attached = tap;
    attached_party = party;
}

static void keep_field(bool exchanged, const uint8_t *in, size_t count, int ring)
{
    if (attached == NULL || attached_party < 0)
        return;
    struct tap_view *view = &attached->view[attached_party];
    if (view->count == view->capacity) {
        view->capacity = view->capacity == 0 ? 64 : 2 * view->capacity;
        view->fields = realloc(view->fields, view->capacity * sizeof *view->fields);
        if (view->fields == NULL)
            abort();
    }
    struct tap_field field = {.exchanged = exchanged, .ring = ring, .count = count, .values = calloc(count + 1, sizeof *field.values)};
    if (field.values == NULL)
        abort();
    kern_table_select(0)->unpack_bits(field.values, in, count, ring);
    view->fields[view->count++] = field;
}

static void unpack_bits(uint64_t *out, const uint8_t *in, size_t count, int ring)
{
    keep_field(false, in, count, ring);
    kern_table_select(0)->unpack_bits(out, in, count, ring);
}

static void unpack_add(uint64_t *out, const uint8_t *in, size_t count, int ring)
{
    keep_field(true, in, count, ring);
    kern_table_select(0)->unpack_add(out, in, count, ring);
}

static size_t place(const struct tap *tap, size_t i, size_t c, size_t per, size_t elements)
{
    return tap->columns ? c * elements + i : i * per + c;
}

static void prg_words(const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring)
{
    if (attached == NULL || attached->mode == TAP_REAL) {
        kern_table_select(0)->prg_words(key, counter, out, count, ring);
        return;
    }
    if (attached->mode == TAP_FILL) {
        for (size_t i = 0; i < count; i++)
            out[i] = attached->fill & (ring >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << ring) - 1);
        return;
    }
    int stream = key->round[0][0];
    if (stream == TAP_STREAM_P1_P2) {
        for (size_t i = 0; i < count; i++)
            out[i] = UINT64_C(1) << ((8 * counter + i) % 64) & kern_ring_mask(ring);
        return;
    }
    if (stream >= TAP_STREAMS || counter >= TAP_DRAWS)
        abort();
    struct tap_draw *draw = &attached->draws[stream][counter];
    if (attached->mode == TAP_DRY) {
        /* P0 holds every stream, and runs alone before the others. */
        if (attached_party == 0) {
            *draw = (struct tap_draw){.ring = ring, .per = count};
            attached->draw_count[stream] = (size_t)counter + 1;
        }
        memset(out, 0, count * sizeof *out);
        return;
    }
    size_t n = ring == 64 ? 1 : attached->elements;
    if (draw->ring != ring || count != n * draw->per)
        abort();
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < draw->per; c++) {
            uint64_t bits = (attached->base + i) >> draw->first_bit;
            out[place(attached, i, c, draw->per, n)] = ring == 64 ? c ^ (bits & 1) : bits >> (int)c * ring & ((UINT64_C(1) << ring) - 1);
        }
}

/* Filled by the thread that makes the parties, before any other one exists. */
const struct kern_table *tap_table(void)
{
    static struct kern_table table;
    table = *kern_table_select(0);
    table.unpack_bits = unpack_bits;
    table.unpack_add = unpack_add;
    table.prg_words = prg_words;
    return &table;
}

int tap_draw_bits(const struct tap_draw *draw)
{
    return draw->ring == 64 ? 1 : draw->ring * (int)draw->per;
}

int tap_enumerate(struct tap *tap)
{
    int bits = 0;
    for (int orders = 0; orders <= 1; orders++) {
        for (int s = 0; s < TAP_STREAMS; s++)
            for (size_t d = 0; d < tap->draw_count[s]; d++) {
                struct tap_draw *draw = &tap->draws[s][d];
                if ((draw->ring == 64) != orders)
                    continue;
                draw->first_bit = bits;
                bits += tap_draw_bits(draw);
            }
        if (!orders)
            tap->elements = (size_t)1 << bits;
    }
    tap->mode = TAP_SCRIPT;
    return bits;
}

static uint64_t append(uint64_t seen, uint64_t value, int bits, int *ret_bits)
{
    *ret_bits += bits;
    return seen << bits | value;
}

uint64_t tap_seen(const struct tap *tap, int party, size_t i, int *ret_bits)
{
    uint64_t seen = 0, number = tap->base + i;
    int bits = 0;
    for (int s = 0; s < TAP_STREAMS; s++)
        for (size_t d = 0; (party == 0 || s % 2 == party - 1) && d < tap->draw_count[s]; d++) {
            int width = tap_draw_bits(&tap->draws[s][d]);
            seen = append(seen, number >> tap->draws[s][d].first_bit & ((UINT64_C(1) << width) - 1), width, &bits);
        }
    for (size_t f = 0; f < tap->view[party].count; f++) {
        const struct tap_field *field = &tap->view[party].fields[f];
        size_t per = field->count / tap->elements;
        for (size_t c = 0; c < per; c++)
            seen = append(seen, field->values[place(tap, i, c, per, tap->elements)], field->ring, &bits);
    }
    *ret_bits = bits <= 64 ? bits : 0;
    return bits <= 64 ? seen : 0;
}

void tap_finish(struct tap *tap)
{
    for (int r = 0; r < 3; r++) {
        for (size_t i = 0; i < tap->view[r].count; i++)
            free(tap->view[r].fields[i].values);
        free(tap->view[r].fields);
        tap->view[r] = (struct tap_view){0};
    }
}
