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

static void keep_field(const uint8_t *in, size_t count, int ring)
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
    struct tap_field field = {.ring = ring, .count = count, .values = calloc(count + 1, sizeof *field.values)};
    if (field.values == NULL)
        abort();
    kern_table_select(0)->unpack_bits(field.values, in, count, ring);
    view->fields[view->count++] = field;
}

static void unpack_bits(uint64_t *out, const uint8_t *in, size_t count, int ring)
{
    keep_field(in, count, ring);
    kern_table_select(0)->unpack_bits(out, in, count, ring);
}

static void unpack_add(uint64_t *out, const uint8_t *in, size_t count, int ring)
{
    keep_field(in, count, ring);
    kern_table_select(0)->unpack_add(out, in, count, ring);
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
    if (stream >= TAP_STREAMS || counter >= TAP_DRAWS)
        abort();
    struct tap_draw *draw = &attached->draws[stream][counter];
    if (attached->mode == TAP_DRY) {
        *draw = (struct tap_draw){.ring = ring, .per = count};
        if (attached->draw_count[stream] <= counter)
            attached->draw_count[stream] = counter + 1;
        memset(out, 0, count * sizeof *out);
        return;
    }
    for (size_t i = 0; i < attached->elements; i++)
        for (size_t c = 0; c < draw->per; c++)
            out[i * draw->per + c] = (uint64_t)i >> (draw->first_bit + (int)c * ring) & ((UINT64_C(1) << ring) - 1);
}

/* Filled on first use by the thread that makes the parties, before any other one exists. */
const struct kern_table *tap_table(void)
{
    static struct kern_table table;
    table = *kern_table_select(0);
    table.unpack_bits = unpack_bits;
    table.unpack_add = unpack_add;
    table.prg_words = prg_words;
    return &table;
}

int tap_enumerate(struct tap *tap)
{
    int bits = 0;
    for (int s = 0; s < TAP_STREAMS; s++)
        for (size_t d = 0; d < tap->draw_count[s]; d++) {
            tap->draws[s][d].first_bit = bits;
            bits += tap->draws[s][d].ring * (int)tap->draws[s][d].per;
        }
    tap->mode = TAP_SCRIPT;
    tap->elements = (size_t)1 << bits;
    return bits;
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
