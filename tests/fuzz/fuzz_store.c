/* Fuzzes what reads the file of encrypted weights of two parties (pair/store_file.h). The first byte says what the target sets right, so that the fuzzer
 * gets behind it:
 *
 *   1   the head (magic, version, party, owner) is good, and the input begins with the number of matrices; else the input is all of the file
 *   2   the digest at the end is that of what is before it
 *   4,8 keys for wide and narrow rings are there, of zeros: half a megabyte that no input could hold (with 1)
 *
 * What is accepted is read to the last word. */
#include "tests/fuzz/scratch_file.h"

#include "base/memory.h"
#include "pair/store_file.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 1, SUM = 2, KEYS = 4 /* of wide rings; twice that: of narrow ones */ };

static const struct pair_store_owner owner = {.party = 1, .digest = {7, 7}};

struct output {
    FILE *file;
    crypto_generichash_state hash;
};

static void put(struct output *out, const void *data, size_t size)
{
    if (size == 0)
        return;
    check(fwrite(data, 1, size, out->file) == size);
    (void)crypto_generichash_update(&out->hash, data, size);
}

static void put_number(struct output *out, uint64_t number)
{
    uint8_t bytes[8];
    base_store_u64(bytes, number);
    put(out, bytes, sizeof bytes);
}

static void put_keys(struct output *out, bool there, const struct pair_rlwe_params *params)
{
    static const uint8_t zeros[8 * 3 * PAIR_RLWE_N];
    put_number(out, there);
    if (!there)
        return;
    put(out, zeros, PAIR_RLWE_N);
    for (int id = 1; id <= 2; id++) {
        put(out, zeros, 16);
        put_number(out, 5);
        check(8 * (size_t)params->limbs * PAIR_RLWE_N <= sizeof zeros);
        put(out, zeros, 8 * (size_t)params->limbs * PAIR_RLWE_N);
    }
}

static void write_store(uint8_t rights, const uint8_t *data, size_t size)
{
    static const uint8_t id[PAIR_SESSION] = {4};
    struct output out = {.file = fopen(path, "wb")};
    check(out.file != NULL);
    (void)crypto_generichash_init(&out.hash, NULL, 0, PAIR_STORE_DIGEST);
    if ((rights & HEAD) != 0) {
        uint8_t matrices[8] = {0};
        size_t first = size < sizeof matrices ? size : sizeof matrices;
        memcpy(matrices, data, first);
        data += first;
        size -= first;
        put(&out, "cachetPE", 8);
        put_number(&out, 1);
        put_number(&out, (uint64_t)owner.party);
        put(&out, id, sizeof id);
        put(&out, owner.digest, sizeof owner.digest);
        put(&out, matrices, sizeof matrices);
        for (int narrow = 0; narrow < 2; narrow++)
            put_keys(&out, (rights & KEYS << narrow) != 0, pair_store_params(narrow == 1));
    }
    put(&out, data, size);
    if ((rights & SUM) != 0) {
        uint8_t digest[PAIR_STORE_DIGEST];
        (void)crypto_generichash_final(&out.hash, digest, sizeof digest);
        check(fwrite(digest, 1, sizeof digest, out.file) == sizeof digest);
    }
    check(fclose(out.file) == 0);
}

/* The peer's rows of every part are there as its extents say. */
static void read_store(const struct pair_store *store)
{
    uint64_t sum = 0;
    for (const struct pair_lasting *l = store->first; l != NULL; l = l->next) {
        size_t limbs = (size_t)pair_store_params(l->narrow)->limbs, rows = 0;
        for (size_t i = 0; i < l->parts; i++) {
            const struct pair_rlwe_rows *view = &l->part[i].view[3 - owner.party];
            check(view->body != NULL && view->columns == l->inner && view->stride == l->part[i].rows * limbs && l->part[i].rows <= PAIR_RLWE_N);
            for (size_t w = 0; w < view->stride * view->columns; w++)
                sum += view->body[w];
            rows += l->part[i].rows;
        }
        check(l->parts == 0 || (rows == l->outs && store->keys[l->narrow].started));
    }
    volatile uint64_t read = sum;
    (void)read;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pair_store store;
    struct base_error error = {0};
    if (size < 1)
        return 0;
    make_file();
    write_store(data[0], data + 1, size - 1);
    enum base_status status = pair_store_load(&store, &owner, path, &error);
    check((status == BASE_OK) == (error.text[0] == '\0') && error.code == status && strchr(error.text, '\n') == NULL);
    check(store.complete == (status == BASE_OK) && (status == BASE_OK || store.first == NULL));
    if (status == BASE_OK)
        read_store(&store);
    pair_store_finish(&store);
    return 0;
}
