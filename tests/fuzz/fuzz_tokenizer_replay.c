/* Gives every file named on the command line, and every file in a directory named there, to the fuzz target.
 */
#include "base/file.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    struct base_file file = {0};
    struct base_error error = {0};
    if (base_file_map(&file, path, &error) != BASE_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        return -1;
    }
    (void)LLVMFuzzerTestOneInput(file.data, file.size);
    base_file_unmap(&file);
    return 1;
}

/* The number of files replayed, -1 when one could not be read. */
static int replay_directory(const char *path)
{
    char full[PATH_MAX];
    int count = 0, one = 0;
    DIR *directory = opendir(path);
    if (directory == NULL)
        return replay_file(path);
    for (struct dirent *entry; one >= 0 && (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        int size = snprintf(full, sizeof full, "%s/%s", path, entry->d_name);
        one = size > 0 && (size_t)size < sizeof full ? replay_file(full) : -1;
        count += one;
    }
    (void)closedir(directory);
    return one < 0 ? -1 : count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        int more = replay_directory(argv[i]);
        if (more < 0)
            return 1;
        count += more;
    }
    (void)printf("%d inputs replayed\n", count);
    return count > 0 ? 0 : 1;
}
