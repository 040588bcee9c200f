#include "engine/placed.h"

#include "base/memory.h"
#include "engine/weights_layout.h"
#include "mpc/placed.h"

#include <stdint.h>

/* Of the device's memory, for what a driver keeps for launches. */
enum { SPARE_BYTES = 64 << 20 };

/* --- what there is ------------------------------------------------------------------------------------- */

/* The embedding as a matrix of 32-bit words: both halves of a row are rows of their own. Nothing, where the rows have gaps. */
static struct kern_part table_of(enum mpc_role role, const struct sec_row_table *table)
{
    size_t halves = role == MPC_HELPER ? 1 : 2;
    if (table->stride != halves * table->width)
        return (struct kern_part){0};
    return (struct kern_part){.rows = halves * table->rows, .columns = table->width};
}

typedef enum base_status (*matrix_fn)(void *context, const struct mpc_matrix *matrix, struct base_error *error);

/* The matrices that products read; biases are added as they are. */
static enum base_status for_each_matrix(const struct eng_decoder_form *form, matrix_fn each, void *context, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (size_t l = 0; l < eng_own_layers(form->shape); l++) {
        const struct eng_layer_weights *w = &form->weights->layer[l];
        const struct mpc_matrix *all[] = {&w->q, &w->k, &w->v, &w->o, &w->gate, &w->up, &w->down};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            TRY(each(context, all[i], error));
    }
    TRY(each(context, &form->weights->head, error));
out:
    return status;
}

/* Public tables that gates of P1 and P2 read, as rows of words. */
typedef enum base_status (*table_fn)(void *context, const uint64_t *words, size_t count, struct base_error *error);

static enum base_status for_each_table(const struct eng_decoder_form *form, enum mpc_role role, table_fn each, void *context, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct eng_gates *gates = form->gates;
    for (size_t i = 0; role != MPC_HELPER && i < gates->exp_count; i++)
        TRY(each(context, gates->exp[i].table, (size_t)1 << gates->exp[i].k, error));
    if (role != MPC_HELPER && gates->activation.reversed != NULL)
        TRY(each(context, gates->activation.reversed, (size_t)6 << gates->activation.form.h, error));
out:
    return status;
}

/* --- sizes --------------------------------------------------------------------------------------------- */

struct sizes {
    const struct kern_device *device;
    enum mpc_role role;
    size_t bytes[2]; /* of the weights: without limbs, and with */
    size_t count;
};

static enum base_status add_size(void *context, const struct mpc_matrix *m, struct base_error *error)
{
    struct sizes *s = context;
    (void)error;
    for (int limbs = 0; limbs < 2; limbs++)
        s->bytes[limbs] += mpc_placed_bytes(s->device, s->role, m->ring, m->outs, m->inner, limbs);
    s->count++;
    return BASE_OK;
}

static enum base_status add_table(void *context, const uint64_t *words, size_t count, struct base_error *error)
{
    struct sizes *s = context;
    (void)words;
    (void)error;
    for (int limbs = 0; limbs < 2; limbs++)
        s->bytes[limbs] += kern_device_placed_bytes(s->device, KERN_WORD_64, 1, count, false);
    s->count++;
    return BASE_OK;
}

/* Every slot's cache of every layer. */
typedef enum base_status (*cache_fn)(void *context, struct kv_cache *cache, struct base_error *error);

static enum base_status for_each_cache(struct eng_session *session, cache_fn each, void *context, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (size_t i = 0; i < session->slots; i++)
        for (size_t l = 0; l < session->slot[i].decoder.form.shape->layers; l++)
            TRY(each(context, &session->slot[i].decoder.cache[l], error));
out:
    return status;
}

static enum base_status add_cache(void *context, struct kv_cache *cache, struct base_error *error)
{
    struct eng_placed *placed = context;
    (void)error;
    placed->cache_bytes += kv_cache_placed_bytes(cache, placed->device);
    return BASE_OK;
}

/* --- placing ------------------------------------------------------------------------------------------- */

struct placing {
    struct eng_placed *to;
    enum mpc_role role;
};

static enum base_status place_matrix(void *context, const struct mpc_matrix *m, struct base_error *error)
{
    const struct placing *placing = context;
    struct eng_placed *to = placing->to;
    return mpc_place(to->device, &to->weights[to->count++], placing->role, m, m->outs, m->inner, to->limbs ? KERN_PLACE_LIMBS : KERN_PLACE_WORDS,
                     error);
}

static enum base_status place_table(void *context, const uint64_t *words, size_t count, struct base_error *error)
{
    const struct placing *placing = context;
    struct eng_placed *to = placing->to;
    return kern_device_place(to->device, &to->weights[to->count++], KERN_WORD_64, words, count * sizeof *words, 1, count, KERN_PLACE_WORDS, error);
}

static enum base_status place_cache(void *context, struct kv_cache *cache, struct base_error *error)
{
    const struct eng_placed *placed = context;
    return kv_cache_place(cache, placed->device, error);
}

static enum base_status unplace_cache(void *context, struct kv_cache *cache, struct base_error *error)
{
    (void)context;
    (void)error;
    kv_cache_unplace(cache);
    return BASE_OK;
}

enum base_status eng_place(struct eng_placed *ret, struct kern_device *device, struct eng_session *session, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct eng_decoder_form *form = &session->slot[0].decoder.form;
    struct eng_placed placed = {.device = device, .session = session};
    struct sizes sizes = {.device = device, .role = session->party.role};
    struct placing placing = {.to = &placed, .role = sizes.role};
    struct kern_part table = table_of(sizes.role, &form->weights->embedding);
    size_t available, total;
    TRY(for_each_matrix(form, add_size, &sizes, error));
    TRY(for_each_table(form, sizes.role, add_table, &sizes, error));
    if (table.rows > 0)
        for (int limbs = 0; limbs < 2; limbs++)
            sizes.bytes[limbs] += kern_device_placed_bytes(device, KERN_WORD_32, table.rows, table.columns, false);
    TRY(for_each_cache(session, add_cache, &placed, error));
    TRY(kern_device_memory(device, &available, &total, error));
    available = available > SPARE_BYTES ? available - SPARE_BYTES : 0;
    size_t needed = placed.cache_bytes + sizes.bytes[0];
    TRY_THAT(needed <= available, error, BASE_ERR_MEMORY,
             "device: weights take %zu MiB of its memory and caches %zu MiB, and %zu MiB of %zu MiB are free: %zu MiB are missing; take a smaller "
             "model, context or number of slots, or leave the device out", sizes.bytes[0] >> 20, placed.cache_bytes >> 20, available >> 20, total >> 20,
             ((needed - available) >> 20) + 1);
    placed.limbs = placed.cache_bytes + sizes.bytes[1] <= available;
    placed.weight_bytes = sizes.bytes[placed.limbs];
    TRY(base_alloc(&placed.weights, sizes.count + 1, sizeof *placed.weights, error));
    TRY(for_each_cache(session, place_cache, &placed, error));
    TRY(for_each_matrix(form, place_matrix, &placing, error));
    TRY(for_each_table(form, sizes.role, place_table, &placing, error));
    if (table.rows > 0)
        TRY(kern_device_place(device, &placed.weights[placed.count++], KERN_WORD_32, form->weights->embedding.data, 4 * table.columns, table.rows,
                              table.columns, KERN_PLACE_WORDS, error));
    *ret = placed;
    return BASE_OK;
out:
    eng_placed_finish(&placed);
    return status;
}

void eng_placed_finish(struct eng_placed *placed)
{
    for (size_t i = 0; placed->weights != NULL && i < placed->count; i++)
        kern_device_forget(placed->device, &placed->weights[i]);
    base_free(&placed->weights);
    struct base_error none = {0};
    if (placed->session != NULL && for_each_cache(placed->session, unplace_cache, NULL, &none) != BASE_OK)
        return; /* unplace_cache never fails */
    *placed = (struct eng_placed){0};
}
