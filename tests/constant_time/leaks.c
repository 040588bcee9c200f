#include "tests/constant_time/leaks.h"

#include "tests/constant_time/secret.h"

/* Volatile: a write on one way alone cannot become a selection, and no read is dropped. */
static volatile uint64_t taken;
static volatile uint8_t table[256];

void leak_by_branch(const uint64_t *word)
{
    if (*word & 1)
        taken = 1;
}

void leak_by_address(const uint64_t *word)
{
    taken = table[*word & 255];
}

void select_larger(const uint64_t *a, const uint64_t *b, uint64_t *ret)
{
    uint64_t below = (~*a & *b) | ((~*a | *b) & (*a - *b)), choice = UINT64_C(0) - (below >> 63);
    *ret = (*b & choice) | (*a & ~choice);
}

bool leak_is_reported(const char *what, void (*leak)(const uint64_t *word), const uint64_t *word)
{
    unsigned before = reports();
    leak(word);
    (void)printf("leak %s: %s\n", what, reports() > before ? "reported" : "NOT reported");
    return reports() > before;
}
