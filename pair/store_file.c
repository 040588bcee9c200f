#include "pair/store_file.h"

#include "base/failpoint.h"
#include "base/file.h"
#include "base/memory.h"
#include "pair/rlwe_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VERSION = 1, MAGIC = 8, PATH_ROOM = 4096, WORDS = 1024, BUFFER = 1 << 16, MOST_MATRICES = 1 << 20 };

static const char magic[MAGIC] = {'c', 'a', 'c', 'h', 'e', 't', 'P', 'E'};

/* One pass over a file, either way; what passes goes into the digest. `left`: bytes that may still be read. */
struct stream {
    FILE *file;
    char *buffer; /* the file's: a secret key passes through it */
    const char *path;
    bool writes;
    uint64_t left;
    crypto_generichash_state hash;
    struct base_error *error;
};

static enum base_status pass(struct stream *s, void *data, size_t size)
{
    if (s->writes && fwrite(data, 1, size, s->file) != size)
        return base_fail(s->error, BASE_ERR_IO, "%s: %s", s->path, strerror(errno));
    if (!s->writes && (size > s->left || fread(data, 1, size, s->file) != size))
        return base_fail(s->error, BASE_ERR_FORMAT, "%s: encrypted masks end early", s->path);
    s->left -= s->writes ? 0 : size;
    (void)crypto_generichash_update(&s->hash, data, size);
    return BASE_OK;
}

static enum base_status pass_number(struct stream *s, uint64_t *value)
{
    uint8_t bytes[8];
    base_store_u64(bytes, *value);
    enum base_status status = pass(s, bytes, sizeof bytes);
    *value = base_load_u64(bytes);
    return status;
}

static enum base_status pass_words(struct stream *s, uint64_t *words, size_t count)
{
    uint8_t bytes[8 * WORDS];
    enum base_status status = BASE_OK;
    for (size_t at = 0, n; at < count && status == BASE_OK; at += n) {
        n = count - at < WORDS ? count - at : WORDS;
        for (size_t i = 0; s->writes && i < n; i++)
            base_store_u64(bytes + 8 * i, words[at + i]);
        status = pass(s, bytes, 8 * n);
        for (size_t i = 0; !s->writes && i < n; i++)
            words[at + i] = base_load_u64(bytes + 8 * i);
    }
    base_wipe(bytes, sizeof bytes);
    return status;
}

/* A number that must be from low to high. */
static enum base_status pass_extent(struct stream *s, uint64_t *value, uint64_t low, uint64_t high, const char *what)
{
    enum base_status status = pass_number(s, value);
    if (status == BASE_OK && (*value < low || *value > high))
        status = base_fail(s->error, BASE_ERR_FORMAT, "%s: %s is %llu, and must be from %llu to %llu", s->path, what, (unsigned long long)*value,
                           (unsigned long long)low, (unsigned long long)high);
    return status;
}

/* --- parts of the file ----------------------------------------------------------------------------------------------------------------- */

static enum base_status pass_head(struct stream *s, struct pair_store *store, const struct pair_store_owner *owner, uint64_t *matrices)
{
    enum base_status status;
    char own_magic[MAGIC];
    uint64_t version = VERSION, party = (uint64_t)owner->party;
    uint8_t digest[PAIR_STORE_DIGEST];
    memcpy(own_magic, magic, MAGIC);
    memcpy(digest, owner->digest, sizeof digest);
    TRY(pass(s, own_magic, MAGIC));
    TRY_THAT(memcmp(own_magic, magic, MAGIC) == 0, s->error, BASE_ERR_FORMAT, "%s: no file of encrypted masks", s->path);
    TRY(pass_number(s, &version));
    TRY_THAT(version == VERSION, s->error, BASE_ERR_MISMATCH, "%s: version %llu of encrypted masks, and this program has %d", s->path, (unsigned long long)version,
             VERSION);
    TRY(pass_number(s, &party));
    TRY(pass(s, store->id, sizeof store->id));
    TRY(pass(s, digest, sizeof digest));
    TRY_THAT(party == (uint64_t)owner->party && memcmp(digest, owner->digest, sizeof digest) == 0, s->error, BASE_ERR_MISMATCH,
             "%s: encrypted masks of another party, model, plan or share set", s->path);
    TRY(pass_extent(s, matrices, 0, MOST_MATRICES, "the number of matrices"));
out:
    return status;
}

static enum base_status pass_keys(struct stream *s, struct pair_keys *keys, const struct pair_rlwe_params *params)
{
    enum base_status status;
    uint64_t started = keys->started;
    TRY(pass_extent(s, &started, 0, 1, "whether there are keys"));
    if (started == 0)
        return BASE_OK;
    if (!s->writes) {
        TRY(base_alloc_locked(&keys->rlwe, sizeof *keys->rlwe, s->error));
        keys->started = true;
        keys->rlwe->params = *params;
        for (int id = 1; id <= 2; id++)
            TRY(base_alloc(&keys->rlwe->key[id], pair_rlwe_words(params), sizeof(uint64_t), s->error));
    }
    TRY(pass(s, keys->rlwe->secret, sizeof keys->rlwe->secret));
    for (size_t i = 0; i < PAIR_RLWE_N; i++)
        TRY_THAT(s->writes || (keys->rlwe->secret[i] >= -1 && keys->rlwe->secret[i] <= 1), s->error, BASE_ERR_FORMAT, "%s: a key that is none", s->path);
    for (int id = 1; id <= 2; id++) {
        TRY(pass(s, keys->rlwe->seed[id], sizeof keys->rlwe->seed[id]));
        TRY(pass_number(s, &keys->rlwe->next[id]));
        TRY(pass_words(s, keys->rlwe->key[id], pair_rlwe_words(params)));
        kern_aes_expand(&keys->rlwe->stream[id], keys->rlwe->seed[id]);
    }
out:
    return status;
}

static enum base_status pass_part(struct stream *s, const struct pair_lasting *l, struct pair_part *part, int party)
{
    enum base_status status;
    size_t limbs = (size_t)pair_store_params(l->narrow)->limbs, words, bytes;
    struct pair_rlwe_rows *body = &part->view[3 - party];
    for (int owner = 1; owner <= 2; owner++) {
        TRY(pass_number(s, &part->columns[owner].first));
        if (!s->writes) {
            part->columns[owner] = (struct pair_rlwe_columns){.owner = owner, .first = part->columns[owner].first, .columns = l->inner, .used = part->rows};
            part->view[owner] = (struct pair_rlwe_rows){.first = part->columns[owner].first, .columns = l->inner, .rows = part->rows, .stride = part->rows * limbs};
        }
    }
    TRY_THAT(base_size_mul(part->rows * limbs, l->inner, &words) && base_size_mul(words, 8, &bytes) && (s->writes || bytes <= s->left), s->error, BASE_ERR_FORMAT,
             "%s: a matrix is larger than its file", s->path);
    if (!s->writes)
        TRY(base_alloc(&body->body, words, sizeof(uint64_t), s->error));
    TRY(pass_words(s, body->body, words));
out:
    return status;
}

static enum base_status pass_matrix(struct stream *s, struct pair_lasting *l, int party)
{
    enum base_status status;
    uint64_t narrow = l->narrow, ring = (uint64_t)l->ring, outs = l->outs, inner = l->inner, encrypts = l->parts > 0;
    TRY(pass_extent(s, &narrow, 0, 1, "a parameter set"));
    TRY(pass_extent(s, &ring, 1, 64, "a ring"));
    TRY(pass_extent(s, &outs, 1, UINT32_MAX, "the outs of a matrix"));
    TRY(pass_extent(s, &inner, 1, UINT32_MAX, "the columns of a matrix"));
    TRY(pass_extent(s, &encrypts, 0, 1, "whether a matrix is encrypted"));
    if (!s->writes) {
        l->narrow = narrow == 1;
        l->ring = (int)ring;
        l->outs = outs;
        l->inner = inner;
        l->heads = l->copies = 1;
        l->which.lasting = MPC_WEIGHTS;
        size_t parts = encrypts == 0 ? 0 : (outs + PAIR_RLWE_N - 1) / PAIR_RLWE_N;
        TRY_THAT(8 * parts <= s->left, s->error, BASE_ERR_FORMAT, "%s: a matrix is larger than its file", s->path);
        TRY(base_alloc(&l->part, parts + 1, sizeof *l->part, s->error));
        l->parts = l->part_room = parts; /* now that they are there to be freed */
        for (size_t i = 0; i < l->parts; i++)
            l->part[i].rows = outs - i * PAIR_RLWE_N < PAIR_RLWE_N ? outs - i * PAIR_RLWE_N : PAIR_RLWE_N;
    }
    for (size_t i = 0; i < l->parts; i++)
        TRY(pass_part(s, l, &l->part[i], party));
out:
    return status;
}

static enum base_status pass_all(struct stream *s, struct pair_store *store, const struct pair_store_owner *owner)
{
    enum base_status status;
    uint64_t matrices = 0;
    uint8_t own[PAIR_STORE_DIGEST], theirs[PAIR_STORE_DIGEST];
    struct pair_lasting **at = &store->first;
    (void)crypto_generichash_init(&s->hash, NULL, 0, sizeof own);
    for (const struct pair_lasting *l = store->first; l != NULL; l = l->next)
        matrices++;
    TRY(pass_head(s, store, owner, &matrices));
    for (int narrow = 0; narrow < 2; narrow++)
        TRY(pass_keys(s, &store->keys[narrow], pair_store_params(narrow == 1)));
    for (uint64_t i = 0; i < matrices; i++, at = &(*at)->next) {
        if (!s->writes)
            TRY(base_alloc(at, 1, sizeof **at, s->error));
        TRY(pass_matrix(s, *at, owner->party));
        TRY_THAT((*at)->parts == 0 || store->keys[(*at)->narrow].started, s->error, BASE_ERR_FORMAT, "%s: a matrix has no key", s->path);
    }
    (void)crypto_generichash_final(&s->hash, own, sizeof own);
    (void)crypto_generichash_init(&s->hash, NULL, 0, sizeof own);
    memcpy(theirs, own, sizeof own);
    TRY(pass(s, theirs, sizeof theirs));
    TRY_THAT(memcmp(own, theirs, sizeof own) == 0 && s->left == 0, s->error, BASE_ERR_FORMAT, "%s: encrypted masks were changed: their digest is another one",
             s->path);
out:
    return status;
}

/* --- files --------------------------------------------------------------------------------------------------------------------------- */

/* A stream owns its file, also where it fails. */
static enum base_status open_stream(struct stream *s, int file, const char *mode)
{
    enum base_status status;
    TRY(base_alloc(&s->buffer, BUFFER, 1, s->error));
    TRY_THAT((s->file = fdopen(file, mode)) != NULL && setvbuf(s->file, s->buffer, _IOFBF, BUFFER) == 0, s->error, BASE_ERR_IO, "%s: %s", s->path, strerror(errno));
out:
    return status;
}

static void close_file(struct stream *s, int file)
{
    if (s->file != NULL)
        (void)fclose(s->file);
    else if (file >= 0)
        (void)close(file);
    if (s->buffer != NULL)
        base_wipe(s->buffer, BUFFER);
    base_free(&s->buffer);
}

enum base_status pair_store_save(const struct pair_store *store, const struct pair_store_owner *owner, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char under[PATH_ROOM];
    struct stream s = {.path = under, .writes = true, .error = error};
    int file = -1;
    TRY_THAT(store->complete, error, BASE_ERR_INTERNAL, "%s: encrypted masks are not complete", path);
    TRY_THAT(snprintf(under, sizeof under, "%s.new", path) < (int)sizeof under, error, BASE_ERR_ARGUMENT, "%s: too long a path", path);
    BASE_FAIL_WRITE("pair.store.before");
    (void)unlink(under); /* of a party that ended while it wrote */
    file = open(under, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    TRY_THAT(file >= 0, error, BASE_ERR_IO, "%s: %s", under, strerror(errno));
    TRY(open_stream(&s, file, "wb"));
    /* Written, not changed: the pass reads where it writes. */
    struct pair_store copy = *store;
    TRY(pass_all(&s, &copy, owner));
    TRY_THAT(fflush(s.file) == 0 && fsync(file) == 0, error, BASE_ERR_IO, "%s: %s", under, strerror(errno));
    BASE_FAIL_WRITE("pair.store.written");
    TRY_THAT(rename(under, path) == 0, error, BASE_ERR_IO, "%s: %s", path, strerror(errno));
    BASE_FAIL_WRITE("pair.store.after");
    TRY(base_file_sync_folder(path, error));
out:
    close_file(&s, file);
    if (status != BASE_OK)
        (void)unlink(under);
    return status;
}

enum base_status pair_store_load(struct pair_store *ret, const struct pair_store_owner *owner, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct stat stat;
    struct stream s = {.path = path, .error = error};
    *ret = (struct pair_store){0};
    int file = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0 && errno == ENOENT)
        return BASE_OK;
    TRY_THAT(file >= 0 && fstat(file, &stat) == 0 && S_ISREG(stat.st_mode), error, BASE_ERR_IO, "%s: no file that can be read", path);
    TRY_THAT((stat.st_mode & (S_IRWXG | S_IRWXO)) == 0, error, BASE_ERR_FORMAT, "%s: holds a secret key, and others may read it: set its mode to 0600", path);
    TRY(open_stream(&s, file, "rb"));
    s.left = (uint64_t)stat.st_size;
    TRY(pass_all(&s, ret, owner));
    ret->complete = true;
out:
    close_file(&s, file);
    if (status != BASE_OK)
        pair_store_finish(ret);
    return status;
}
