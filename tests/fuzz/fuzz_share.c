/* Fuzzes what opens a party's share directory. The first byte chooses the role and whether the digests of the input stand; a manifest.json
 * follows to the first NUL, then a plan.json to the next one, then weights.bin. What is opened is read to the last byte. */
#include "base/memory.h"
#include "engine/share_files.h"
#include "engine/share_set.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATH_ROOM = 256, LARGEST = 1 << 20 };

struct piece {
    const uint8_t *data;
    size_t size;
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static struct piece cut(struct piece *rest)
{
    const uint8_t *end = rest->size == 0 ? NULL : memchr(rest->data, 0, rest->size);
    struct piece first = {rest->data, end == NULL ? rest->size : (size_t)(end - rest->data)};
    size_t gone = first.size + (end != NULL);
    *rest = (struct piece){rest->data + gone, rest->size - gone};
    return first;
}

/* The file of a directory; zeros up to `least` bytes. */
static void write_file(const char *directory, const char *name, struct piece content, size_t least)
{
    char path[PATH_ROOM];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    check(file != NULL && fwrite(content.data, 1, content.size, file) == content.size);
    check(fflush(file) == 0 && (content.size >= least || ftruncate(fileno(file), (off_t)least) == 0) && fclose(file) == 0);
}

/* Sets right what a hash guards, so that the fuzzer gets behind it: the plan's digest, and size and digest of weights.bin. Returns that size. */
static size_t repair(const char *directory, json_t *manifest, struct piece weights)
{
    struct eng_plan plan = {0};
    char path[PATH_ROOM], hex[65];
    uint8_t digest[32];
    json_int_t stated = json_integer_value(json_object_get(manifest, "weights_bytes"));
    size_t size = stated > 0 && stated <= LARGEST ? (size_t)stated : 0;
    (void)snprintf(path, sizeof path, "%s/plan.json", directory);
    if (eng_plan_read(&plan, path, NULL) == BASE_OK && eng_plan_digest(&plan, digest, NULL) == BASE_OK) {
        (void)sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
        (void)json_object_set_new(manifest, "plan", json_string(hex));
        (void)json_object_set_new(manifest, "model", json_string(plan.model));
    }
    eng_plan_finish(&plan);
    uint8_t *whole = calloc(size + 1, 1);
    check(whole != NULL);
    memcpy(whole, weights.data, weights.size < size ? weights.size : size);
    check(eng_sha256_hex(whole, size, hex, NULL) == BASE_OK);
    (void)json_object_set_new(manifest, "weights_sha256", json_string(hex));
    (void)snprintf(path, sizeof path, "%s/manifest.json", directory);
    check(json_dump_file(manifest, path, 0) == 0);
    free(whole);
    return size;
}

/* Every matrix lies within the file. */
static void read_matrix(const struct eng_share *share, const struct mpc_matrix *matrix)
{
    volatile uint8_t last;
    if (matrix->outs == 0 || matrix->inner == 0)
        return;
    size_t at = (size_t)(matrix->data - share->file.data);
    check(at <= share->file.size && matrix->outs <= (share->file.size - at) / matrix->stride);
    last = matrix->data[matrix->outs * matrix->stride - 1];
    (void)last;
}

static void read_weights(const struct eng_share *share)
{
    for (size_t layer = 0; layer < share->shape.layers; layer++) {
        const struct eng_layer_weights *w = &share->weights.layer[layer];
        const struct mpc_matrix *const all[] = {&w->q, &w->k, &w->v, &w->o, &w->gate, &w->up, &w->down};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            read_matrix(share, all[i]);
    }
    read_matrix(share, &share->weights.head);
}

static void open_share(const char *directory, int role)
{
    struct eng_share share = {.role = 77};
    struct base_error error = {0};
    enum base_status status = eng_share_open(&share, directory, role, NULL, &error);
    check((status == BASE_OK) == (error.text[0] == '\0') && (status == BASE_OK || (share.role == 77 && error.code == status)));
    check(strchr(error.text, '\n') == NULL);
    if (status != BASE_OK)
        return;
    check(strlen(share.set) < ENG_SET_ID && share.plan.layers == share.shape.layers);
    if (role != ENG_SHARE_CLIENT)
        read_weights(&share);
    eng_share_close(&share);
}

static char place[] = P_tmpdir "/cachet-fuzz-share-XXXXXX";

static void remove_directory(void)
{
    eng_remove_tree(place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool made = false;
    if (size < 1 || size > LARGEST)
        return 0;
    if (!made)
        check(mkdtemp(place) != NULL && atexit(remove_directory) == 0);
    made = true;
    int role = data[0] % ENG_SHARE_ROLES;
    struct piece rest = {data + 1, size - 1}, manifest = cut(&rest), plan = cut(&rest);
    write_file(place, "plan.json", plan, 0);
    write_file(place, "manifest.json", manifest, 0);
    size_t least = 0;
    if (data[0] & 4) {
        json_t *root = json_loadb((const char *)manifest.data, manifest.size, JSON_REJECT_DUPLICATES, NULL);
        if (json_is_object(root))
            least = repair(place, root, rest);
        json_decref(root);
        rest.size = rest.size < least ? rest.size : least;
    }
    write_file(place, "weights.bin", rest, least);
    open_share(place, role);
    return 0;
}
