/* Runs fuzz_formats.c over the files that are named on the command line, and over every beginning of each. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly the right size, so that a sanitizer sees a read behind it. */
static int run_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL)
        return 1;
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    return 0;
}

static int replay(const char *path)
{
    static const size_t limit = 1 << 20;
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(limit);
    size_t size = file == NULL || data == NULL ? 0 : fread(data, 1, limit, file);
    int failed = size == 0 || size == limit || ferror(file) != 0;
    for (size_t cut = 0; !failed && cut <= size; cut++)
        failed = run_copy(data, cut);
    if (failed)
        (void)fprintf(stderr,
                      "%s: cannot be replayed: it must be readable, not empty and smaller than %zu bytes\n",
                      path, limit);
    if (file != NULL)
        (void)fclose(file);
    free(data);
    return failed;
}

int main(int count, char **arguments)
{
    int failed = count < 2;
    if (failed)
        (void)fprintf(stderr, "usage: fuzz_formats_replay FILE...\n");
    for (int i = 1; i < count; i++)
        failed |= replay(arguments[i]);
    return failed;
}
