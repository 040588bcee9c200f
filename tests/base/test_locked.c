/* Memory for secrets: what the kernel says of its pages, and what a forked child sees of it. */
#include "base/fork.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Flags of the mapping that holds an address ("lo" locked, "dd" in no core dump, "wf" empty in a child). */
static void flags_of(const void *memory, char *ret, size_t size)
{
    char line[512];
    bool inside = false;
    FILE *maps = fopen("/proc/self/smaps", "r");
    assert_non_null(maps);
    ret[0] = '\0';
    while (ret[0] == '\0' && fgets(line, sizeof line, maps) != NULL) {
        unsigned long long from, to;
        if (sscanf(line, "%llx-%llx ", &from, &to) == 2)
            inside = (uintptr_t)memory >= from && (uintptr_t)memory < to;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            (void)snprintf(ret, size, "%s", line + 8);
    }
    (void)fclose(maps);
}

/* Sanitizers lock nothing; nor can a page be locked beyond the limit. */
static bool can_lock(void)
{
    char flags[512];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *one = mmap(NULL, 64 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(one != MAP_FAILED);
    bool locked = mlock(one, 64 * page) == 0;
    flags_of(one, flags, sizeof flags);
    (void)munmap(one, 64 * page);
    return locked && strstr(flags, " lo") != NULL;
}

static const size_t sizes[] = {1, 32, 64, 100, 4000, 4096, 5000, 100000};

static void test_pages(void **state)
{
    bool locks = can_lock();
    if (!locks)
        print_message("whether pages are locked is not looked at: this process can lock none\n");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct base_error error = {0};
        unsigned char *block = NULL;
        char flags[512];
        assert_int_equal(base_alloc_locked(&block, sizes[i], &error), BASE_OK);
        assert_int_equal((uintptr_t)block % 64, 0);
        for (size_t b = 0; b < sizes[i]; b++)
            assert_int_equal(block[b], 0);
        memset(block, 0x5a, sizes[i]);
        flags_of(block, flags, sizeof flags);
        if (locks)
            assert_non_null(strstr(flags, " lo"));
        assert_non_null(strstr(flags, " dd"));
        assert_non_null(strstr(flags, " wf"));
        flags_of(block + sizes[i] - 1, flags, sizeof flags);
        assert_non_null(strstr(flags, " wf"));
        base_free_locked(&block);
        assert_null(block);
    }
    unsigned char *block = NULL;
    struct base_error error = {0};
    assert_int_equal(base_alloc_locked(&block, SIZE_MAX - 10, &error), BASE_ERR_MEMORY);
    base_free_locked(&block);
}

/* Nothing of it is there, and it can be freed; a block of the child's own is as good as any; the parent's is as it was. */
static void test_child(void **state)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *block = NULL, *own = NULL;
        int how = 0;
        assert_int_equal(base_alloc_locked(&block, sizes[i], NULL), BASE_OK);
        memset(block, 0x5a, sizes[i]);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            int seen = base_forks == 1 ? 0 : 1;
            for (size_t b = 0; b < sizes[i]; b++)
                seen |= block[b];
            base_free_locked(&block);
            if (base_alloc_locked(&own, sizes[i], NULL) != BASE_OK)
                seen = 1;
            base_free_locked(&own);
            _exit(seen == 0 ? 0 : 3);
        }
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFEXITED(how));
        assert_int_equal(WEXITSTATUS(how), 0);
        for (size_t b = 0; b < sizes[i]; b++)
            assert_int_equal(block[b], 0x5a);
        assert_int_equal(base_forks, 0);
        base_free_locked(&block);
    }
}

/* A limit that is used up: the block is there all the same, as its header says. Root has no limit. */
static void test_over_the_limit(void **state)
{
    int how = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        unsigned char *block = NULL;
        if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (geteuid() == 0 && setuid(65534) != 0) || base_alloc_locked(&block, 100, NULL) != BASE_OK)
            _exit(3);
        memset(block, 1, 100);
        base_free_locked(&block);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pages), cmocka_unit_test(test_child), cmocka_unit_test(test_over_the_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
