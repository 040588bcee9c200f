/* A forked child holds a copy of its parent's keys: what both drew from them would be alike. Whoever draws notes the number of forks behind it when it
 * begins, and compares it before each draw: a load, no system call. Memory of base_alloc_locked is empty in a child besides. */
#ifndef CACHET_BASE_FORK_H
#define CACHET_BASE_FORK_H

/* Forks between the first process of this program and this one, not counting those that only ran another program. */
extern unsigned base_forks;

/* Ends the process by abort, with a line that says that `what` belongs to its parent. */
_Noreturn void base_fork_refuse(const char *what);

/* made_at: base_forks when `what` was made. */
static inline void base_fork_check(unsigned made_at, const char *what)
{
    if (__builtin_expect(made_at != base_forks, 0))
        base_fork_refuse(what);
}

#endif
