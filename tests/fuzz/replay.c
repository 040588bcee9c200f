/* Gives every file in the directories named on the command line to the fuzz target, and beginnings of each, all of
 * them where the file is small: most readers go wrong where a file ends too early. */
#include "base/file.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BEGINNINGS = 512 /* of one file, about */ };

/* A copy of exactly the right size, so that a sanitizer sees a read behind it. */
static void run_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL)
        abort();
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* The number of inputs run, 0 when the file could not be read. */
static size_t replay_file(const char *path)
{
    struct base_file file = {0};
    struct base_error error = {0};
    size_t count = 1;
    if (base_file_map(&file, path, &error) != BASE_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        return 0;
    }
    run_copy(file.data, file.size);
    for (size_t cut = 0; cut < file.size; cut += 1 + file.size / BEGINNINGS, count++)
        run_copy(file.data, cut);
    base_file_unmap(&file);
    return count;
}

static size_t replay_directory(const char *path)
{
    char full[PATH_MAX];
    size_t count = 0, one = 1;
    DIR *directory = opendir(path);
    if (directory == NULL) {
        perror(path);
        return 0;
    }
    for (struct dirent *entry; one > 0 && (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        int size = snprintf(full, sizeof full, "%s/%s", path, entry->d_name);
        one = size > 0 && (size_t)size < sizeof full ? replay_file(full) : 0;
        count += one;
    }
    (void)closedir(directory);
    return one > 0 ? count : 0;
}

/* A reader that believes a length in a small file must fail here, not be given the memory. Sanitizers reserve more than any limit. */
static void limit_memory(void)
{
#if defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED 0
#endif
#if !SANITIZED && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    enum { MEMORY = 512 << 20 };
    const struct rlimit limit = {MEMORY, MEMORY};
    (void)setrlimit(RLIMIT_AS, &limit);
#endif
}

int main(int argc, char **argv)
{
    limit_memory();
    for (int i = 1; i < argc; i++) {
        size_t count = replay_directory(argv[i]);
        if (count == 0)
            return 1;
        (void)printf("%s: %zu inputs replayed\n", argv[i], count);
    }
    return argc > 1 ? 0 : 1;
}
