/* Looks for marked secrets in files and in the memory of running processes, all of it, what cores leave out as well.
 *
 * usage: find_marks FILE|PID ...      the marks on stdin, a line each: KIND HEX, of 8 bytes and more
 * Prints a line for each: its name, the bytes that were read, and the kinds that stand in it. Exit code 3: a memory that may not be read. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MARKS = 4096, LONGEST = 512, KIND = 16, FILTER_BITS = 16, PIECE = 4 << 20 };

struct mark {
    char kind[KIND];
    uint8_t bytes[LONGEST];
    size_t size;
    bool found;
    int next; /* with the same beginning */
};

static struct mark marks[MARKS];
static int count, chain[1 << FILTER_BITS]; /* chain: index + 1 of a mark */

static unsigned beginning(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return (unsigned)(word * UINT64_C(0x9e3779b97f4a7c15) >> (64 - FILTER_BITS));
}

static bool read_marks(void)
{
    char kind[KIND], hex[2 * LONGEST + 1];
    while (count < MARKS && scanf("%15s %1024s", kind, hex) == 2) {
        struct mark *mark = &marks[count++];
        memcpy(mark->kind, kind, sizeof kind);
        mark->size = strlen(hex) / 2;
        for (size_t i = 0; i < mark->size; i++) {
            unsigned byte;
            if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
                return false;
            mark->bytes[i] = (uint8_t)byte;
        }
        if (mark->size < sizeof(uint64_t))
            return false;
        unsigned h = beginning(mark->bytes);
        mark->next = chain[h];
        chain[h] = count;
    }
    return count > 0;
}

static void search(const uint8_t *data, size_t size)
{
    for (size_t at = 0; at + sizeof(uint64_t) <= size; at++)
        for (int i = chain[beginning(data + at)]; i != 0; i = marks[i - 1].next)
            if (!marks[i - 1].found && marks[i - 1].size <= size - at && memcmp(data + at, marks[i - 1].bytes, marks[i - 1].size) == 0)
                marks[i - 1].found = true;
}

/* From `from` to `to`, in pieces that overlap. Returns the bytes read: it ends where nothing more can be. */
static size_t search_range(int file, uint64_t from, uint64_t to)
{
    static uint8_t piece[PIECE + LONGEST];
    size_t kept = 0, all = 0;
    while (from < to) {
        size_t want = to - from < PIECE ? (size_t)(to - from) : PIECE;
        ssize_t got = pread(file, piece + kept, want, (off_t)from);
        if (got <= 0)
            break;
        all += (size_t)got;
        from += (size_t)got;
        size_t size = kept + (size_t)got;
        search(piece, size);
        kept = size < LONGEST ? size : LONGEST;
        memmove(piece, piece + size - kept, kept);
    }
    return all;
}

/* Whether a page lies in memory or in the swap: reserved ones that were never touched hold nothing. */
static bool present(int pagemap, uint64_t page)
{
    uint64_t entry = 0;
    return pread(pagemap, &entry, sizeof entry, (off_t)(page * sizeof entry)) != sizeof entry || entry >> 62 != 0;
}

static size_t search_mapping(int memory, int pagemap, uint64_t from, uint64_t to)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    size_t all = 0;
    while (from < to) {
        while (from < to && !present(pagemap, from / page))
            from += page;
        uint64_t end = from;
        while (end < to && present(pagemap, end / page))
            end += page;
        all += search_range(memory, from, end);
        from = end;
    }
    return all;
}

/* SIZE_MAX: it may not be read. */
static size_t search_process(const char *pid)
{
    char path[64], line[512];
    size_t all = 0;
    (void)snprintf(path, sizeof path, "/proc/%.20s/maps", pid);
    FILE *maps = fopen(path, "r");
    (void)snprintf(path, sizeof path, "/proc/%.20s/mem", pid);
    int memory = open(path, O_RDONLY | O_CLOEXEC);
    (void)snprintf(path, sizeof path, "/proc/%.20s/pagemap", pid);
    int pagemap = open(path, O_RDONLY | O_CLOEXEC);
    while (maps != NULL && memory >= 0 && fgets(line, sizeof line, maps) != NULL) {
        unsigned long long from, to;
        char rights[8];
        if (sscanf(line, "%llx-%llx %7s", &from, &to, rights) == 3 && rights[0] == 'r' && strstr(line, "[v") == NULL)
            all += search_mapping(memory, pagemap, from, to);
    }
    if (maps != NULL)
        (void)fclose(maps);
    if (memory >= 0)
        (void)close(memory);
    if (pagemap >= 0)
        (void)close(pagemap);
    return all == 0 ? SIZE_MAX : all;
}

static size_t search_file(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return SIZE_MAX;
    size_t all = search_range(file, 0, UINT64_MAX >> 1);
    (void)close(file);
    return all;
}

int main(int argc, char **argv)
{
    if (argc < 2 || !read_marks()) {
        (void)fprintf(stderr, "usage: find_marks FILE|PID ... <MARKS\n");
        return 2;
    }
    for (int a = 1; a < argc; a++) {
        for (int i = 0; i < count; i++)
            marks[i].found = false;
        size_t all = strspn(argv[a], "0123456789") == strlen(argv[a]) ? search_process(argv[a]) : search_file(argv[a]);
        if (all == SIZE_MAX) {
            (void)fprintf(stderr, "%s: %s\n", argv[a], strerror(errno));
            return 3;
        }
        (void)printf("%s %zu", argv[a], all);
        for (int i = 0; i < count; i++)
            if (marks[i].found)
                (void)printf(" %s", marks[i].kind);
        (void)printf("\n");
    }
    return 0;
}
