#include "pair/tape.h"

#include "base/memory.h"

#include <pthread.h>
#include <string.h>

struct record {
    struct record *next;
    size_t size;
    uint8_t *data; /* from base_alloc: wiped when it is freed */
};

struct pair_tape {
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    struct record *first, *last;
    uint64_t waiting, trees;
    bool closed;
    struct base_error why; /* of a close that was not the end */
};

static void free_record(struct record **record)
{
    if (*record != NULL)
        base_free_secret(&(*record)->data);
    base_free(record);
}

enum base_status pair_tape_create(struct pair_tape **ret, struct base_error *error)
{
    enum base_status status = base_alloc(ret, 1, sizeof **ret, error);
    if (status != BASE_OK)
        return status;
    (void)pthread_mutex_init(&(*ret)->mutex, NULL);
    (void)pthread_cond_init(&(*ret)->arrived, NULL);
    return BASE_OK;
}

void pair_tape_drop(struct pair_tape *tape)
{
    (void)pthread_mutex_lock(&tape->mutex);
    for (struct record *record = tape->first, *next; record != NULL; record = next) {
        next = record->next;
        free_record(&record);
    }
    tape->first = tape->last = NULL;
    tape->waiting = 0;
    (void)pthread_mutex_unlock(&tape->mutex);
}

void pair_tape_destroy(struct pair_tape **tape)
{
    struct pair_tape *t = *tape;
    if (t == NULL)
        return;
    pair_tape_drop(t);
    (void)pthread_cond_destroy(&t->arrived);
    (void)pthread_mutex_destroy(&t->mutex);
    base_free(tape);
}

enum base_status pair_tape_put(struct pair_tape *tape, const void *data, size_t size, uint64_t trees, struct base_error *error)
{
    enum base_status status;
    struct record *record = NULL;
    TRY(base_alloc(&record, 1, sizeof *record, error));
    TRY(base_alloc(&record->data, size == 0 ? 1 : size, 1, error));
    memcpy(record->data, data, size);
    record->size = size;
    (void)pthread_mutex_lock(&tape->mutex);
    if (tape->last == NULL)
        tape->first = record;
    else
        tape->last->next = record;
    tape->last = record;
    tape->waiting += size;
    tape->trees = trees;
    (void)pthread_cond_signal(&tape->arrived);
    (void)pthread_mutex_unlock(&tape->mutex);
    record = NULL;
out:
    free_record(&record);
    return status;
}

void pair_tape_close(struct pair_tape *tape, const struct base_error *why)
{
    (void)pthread_mutex_lock(&tape->mutex);
    tape->closed = true;
    if (why != NULL)
        tape->why = *why;
    (void)pthread_cond_broadcast(&tape->arrived);
    (void)pthread_mutex_unlock(&tape->mutex);
}

/* The first record, off the tape; NULL when none will come. */
static struct record *next_record(struct pair_tape *tape)
{
    (void)pthread_mutex_lock(&tape->mutex);
    while (tape->first == NULL && !tape->closed)
        (void)pthread_cond_wait(&tape->arrived, &tape->mutex);
    struct record *record = tape->first;
    if (record != NULL) {
        tape->first = record->next;
        tape->last = record->next == NULL ? NULL : tape->last;
        tape->waiting -= record->size;
    }
    (void)pthread_mutex_unlock(&tape->mutex);
    return record;
}

enum base_status pair_tape_take(struct pair_tape *tape, void *ret_data, size_t size, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct record *record = next_record(tape);
    if (record == NULL)
        return base_fail(error, BASE_ERR_CLOSED, "no material is left: %s", tape->why.text[0] != '\0' ? tape->why.text : "make more ahead of time");
    if (record->size == size)
        memcpy(ret_data, record->data, size);
    else
        status = base_fail(error, BASE_ERR_MISMATCH, "a gate takes %zu bytes, and %zu were made for its place: material of another plan or another length", size,
                           record->size);
    free_record(&record);
    return status;
}

bool pair_tape_next(struct pair_tape *tape, size_t *ret_size)
{
    (void)pthread_mutex_lock(&tape->mutex);
    bool waits = tape->first != NULL;
    *ret_size = waits ? tape->first->size : 0;
    (void)pthread_mutex_unlock(&tape->mutex);
    return waits;
}

static uint64_t read_locked(struct pair_tape *tape, const uint64_t *field)
{
    (void)pthread_mutex_lock(&tape->mutex);
    uint64_t value = *field;
    (void)pthread_mutex_unlock(&tape->mutex);
    return value;
}

uint64_t pair_tape_trees(struct pair_tape *tape)
{
    return read_locked(tape, &tape->trees);
}

uint64_t pair_tape_size(struct pair_tape *tape)
{
    return read_locked(tape, &tape->waiting);
}

static enum base_status take(void *context, uint32_t step, void *ret_data, size_t size, struct base_error *error)
{
    (void)step;
    return pair_tape_take(context, ret_data, size, error);
}

void pair_source_over_tape(struct mpc_source *ret, struct pair_tape *tape)
{
    *ret = (struct mpc_source){.take = take, .context = tape};
}
