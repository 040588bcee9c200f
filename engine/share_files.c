#include "engine/share_files.h"

#include "base/failpoint.h"
#include "base/file.h"
#include "engine/formats/json_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum base_status eng_path_print(char ret[ENG_PATH_MAX], struct base_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(ret, ENG_PATH_MAX, format, arguments);
    va_end(arguments);
    return length >= 0 && length < ENG_PATH_MAX
               ? BASE_OK
               : base_fail(error, BASE_ERR_ARGUMENT, "the path %.60s... is too long", ret);
}

enum base_status eng_make_directory(const char *path, struct base_error *error)
{
    if (mkdir(path, 0700) == 0)
        return BASE_OK;
    return base_fail(error, BASE_ERR_IO, "cannot make the directory %s: %s", path, strerror(errno));
}

enum base_status eng_make_temporary(char ret[ENG_PATH_MAX], const char *stem, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char path[ENG_PATH_MAX];
    const char *base = getenv("TMPDIR");
    TRY(eng_path_print(path, error, "%s/%s-XXXXXX", base != NULL && *base != '\0' ? base : "/tmp", stem));
    TRY_THAT(mkdtemp(path) != NULL, error, BASE_ERR_IO, "cannot make a directory %s: %s", path, strerror(errno));
    (void)snprintf(ret, ENG_PATH_MAX, "%s", path);
out:
    return status;
}

enum base_status eng_rename(const char *from, const char *to, struct base_error *error)
{
    if (rename(from, to) == 0)
        return base_file_sync_folder(to, error);
    return base_fail(error, BASE_ERR_IO, "cannot rename %s to %s: %s", from, to, strerror(errno));
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    (void)remove(path);
    return 0;
}

void eng_remove_tree(const char *path)
{
    enum { DESCRIPTORS = 1 }; /* there may be no more: running out of them is a reason to be here */
    (void)nftw(path, remove_entry, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
}

/* --- output -------------------------------------------------------------------------------------------- */

enum base_status eng_out_file_open(struct eng_out_file *ret, const char *path, size_t size,
                                   struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_out_file file = {.size = size, .fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    TRY_THAT(file.fd >= 0, error, BASE_ERR_IO, "cannot make %s: %s", path, strerror(errno));
    /* Reserved now: a full disk must be an error here, not a signal while writing to the mapping. */
    int failed = posix_fallocate(file.fd, 0, (off_t)size);
    TRY_THAT(failed == 0, error, BASE_ERR_IO, "cannot reserve %zu bytes for %s: %s", size, path,
             strerror(failed));
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd, 0);
    TRY_THAT(data != MAP_FAILED, error, BASE_ERR_MEMORY, "cannot map %s (%zu bytes): %s", path, size,
             strerror(errno));
    file.data = data;
    *ret = file;
    return BASE_OK;
out:
    if (file.fd >= 0)
        (void)close(file.fd);
    return status;
}

enum base_status eng_out_file_close(struct eng_out_file *file, struct base_error *error)
{
    bool written = msync(file->data, file->size, MS_SYNC) == 0 && fsync(file->fd) == 0;
    written = munmap(file->data, file->size) == 0 && written;
    written = close(file->fd) == 0 && written;
    *file = (struct eng_out_file){0};
    return written ? BASE_OK
                   : base_fail(error, BASE_ERR_IO, "cannot write the shares out: %s", strerror(errno));
}

void eng_out_file_discard(struct eng_out_file *file)
{
    if (file->data == NULL)
        return;
    (void)munmap(file->data, file->size);
    (void)close(file->fd);
    *file = (struct eng_out_file){0};
}

/* --- input --------------------------------------------------------------------------------------------- */

enum base_status eng_sha256_hex_watched(const void *data, size_t size, char ret[65],
                                        struct base_progress *progress, struct base_error *error)
{
    enum { PIECE = 4 << 20 };
    uint8_t digest[32];
    errno = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
    for (size_t at = 0; good && at < size; at += PIECE) {
        size_t n = size - at < PIECE ? size - at : PIECE;
        good = EVP_DigestUpdate(context, (const uint8_t *)data + at, n) == 1;
        if (progress != NULL)
            base_progress_update(progress, at + n, at + n);
    }
    good = good && EVP_DigestFinal_ex(context, digest, NULL) == 1;
    bool short_of_memory = errno == ENOMEM;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    if (!good)
        return short_of_memory ? base_fail(error, BASE_ERR_MEMORY, "cannot allocate what SHA-256 needs: free memory")
                               : base_fail(error, BASE_ERR_INTERNAL, "SHA-256 is not available from OpenSSL");
    (void)sodium_bin2hex(ret, 65, digest, sizeof digest);
    return BASE_OK;
}

enum base_status eng_sha256_hex(const void *data, size_t size, char ret[65], struct base_error *error)
{
    return eng_sha256_hex_watched(data, size, ret, NULL, error);
}

enum base_status eng_json_load(const char *path, json_t **ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct base_file file = {0};
    json_error_t reason;
    TRY(base_file_map(&file, path, error));
    TRY_THAT(file.size <= 1 << 20, error, BASE_ERR_FORMAT,
             "%s has %zu bytes: larger than any file of its kind", path, file.size);
    *ret = eng_json_read(file.data, file.size, JSON_REJECT_DUPLICATES, &reason);
    if (*ret == NULL)
        TRY(eng_json_check_memory(path, error));
    TRY_THAT(*ret != NULL, error, BASE_ERR_FORMAT, "%s:%d: %s", path, reason.line, reason.text);
out:
    base_file_unmap(&file);
    return status;
}

static enum base_status copy_file(const char *from, const char *to, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct base_file file = {0};
    FILE *out = NULL;
    TRY(base_file_map(&file, from, error));
    BASE_FAIL_WRITE("engine.copy.before");
    out = fopen(to, "wbx");
    TRY_THAT(out != NULL, error, BASE_ERR_IO, "cannot make %s: %s", to, strerror(errno));
    bool written = fwrite(file.data, 1, file.size, out) == file.size && fflush(out) == 0 && fsync(fileno(out)) == 0;
    written = fclose(out) == 0 && written;
    BASE_FAIL_WRITE("engine.copy.after");
    TRY_THAT(written, error, BASE_ERR_IO, "cannot write %s: %s", to, strerror(errno));
out:
    base_file_unmap(&file);
    return status;
}

enum base_status eng_copy_tokenizer(const char *from, const char *directory, struct base_error *error)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json"};
    enum base_status status = BASE_OK;
    char source[ENG_PATH_MAX], target[ENG_PATH_MAX];
    struct stat info;
    TRY_THAT(stat(from, &info) == 0, error, BASE_ERR_IO, "cannot open the tokenizer %s: %s", from,
             strerror(errno));
    if (!S_ISDIR(info.st_mode)) {
        const char *dot = strrchr(from, '.');
        bool json = dot != NULL && strcmp(dot, ".json") == 0;
        TRY(eng_path_print(target, error, "%s/%s", directory, json ? "tokenizer.json" : "tokenizer.bin"));
        return copy_file(from, target, error);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        TRY(eng_path_print(source, error, "%s/%s", from, names[i]));
        TRY(eng_path_print(target, error, "%s/%s", directory, names[i]));
        /* tokenizer_config.json may be absent. */
        if (i == 0 || access(source, F_OK) == 0)
            TRY(copy_file(source, target, error));
    }
out:
    return status;
}
