/* A strand is a context of its own (makecontext) on the caller's thread: handing over costs a fraction of a microsecond, and code that runs
 * in it needs no word about it. */
#include "mpc/strands.h"

#include "base/memory.h"

#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define STRANDS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STRANDS_SANITIZED 1
#endif
#endif
#if defined(STRANDS_SANITIZED)
#include <sanitizer/common_interface_defs.h>
#endif

enum { STACK_BYTES = 1 << 20 };

enum strand_state { STRAND_READY, STRAND_RESTS, STRAND_ENDED };

struct mpc_strand {
    struct mpc_strands *owner;
    size_t index;
    enum strand_state state;
    enum base_status status;
    ucontext_t own;
    unsigned char *stack; /* with a page below it that nobody may touch */
    /* What the party holds while this strand runs, and keeps here while it rests. */
    struct base_arena arena;
    struct mpc_cost *account;
    void (*before_round)(void *context, struct mpc_party *p);
    void *before_round_context;
};

struct mpc_strands {
    size_t most;
    struct mpc_strand *strand; /* [most] */
    ucontext_t caller;
    void *caller_fake; /* of AddressSanitizer */
    const void *caller_stack;
    size_t caller_size;
    struct mpc_party *party;
    mpc_strand_fn fn;
    void *context;
};

/* --- making ------------------------------------------------------------------------------------------------------ */

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

enum base_status mpc_strands_create(struct mpc_strands **ret, size_t most, size_t work_size, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct mpc_strands *s = NULL;
    TRY(base_alloc(&s, 1, sizeof *s, error));
    TRY(base_alloc(&s->strand, most, sizeof *s->strand, error));
    s->most = most;
    for (size_t i = 0; i < most; i++) {
        struct mpc_strand *strand = &s->strand[i];
        strand->owner = s;
        strand->index = i;
        TRY(base_arena_init(&strand->arena, work_size, error));
        void *memory = mmap(NULL, STACK_BYTES + page_size(), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
        TRY_THAT(memory != MAP_FAILED, error, BASE_ERR_MEMORY, "cannot reserve %zu bytes for the stack of a strand",
                 STACK_BYTES + page_size());
        strand->stack = memory;
        (void)mprotect(memory, page_size(), PROT_NONE);
        (void)madvise(memory, STACK_BYTES + page_size(), MADV_DONTDUMP);
    }
    *ret = s;
    s = NULL;
out:
    mpc_strands_destroy(&s);
    return status;
}

void mpc_strands_destroy(struct mpc_strands **strands)
{
    struct mpc_strands *s = strands == NULL ? NULL : *strands;
    if (s == NULL)
        return;
    for (size_t i = 0; s->strand != NULL && i < s->most; i++) {
        base_arena_finish(&s->strand[i].arena);
        if (s->strand[i].stack != NULL)
            (void)munmap(s->strand[i].stack, STACK_BYTES + page_size());
    }
    base_free(&s->strand);
    base_free(strands);
}

void mpc_strands_release(struct mpc_strands *strands, bool trim)
{
    for (size_t i = 0; strands != NULL && i < strands->most; i++) {
        base_arena_release(&strands->strand[i].arena, 0);
        if (trim) {
            base_arena_trim(&strands->strand[i].arena);
            (void)madvise(strands->strand[i].stack + page_size(), STACK_BYTES, MADV_DONTNEED);
        }
    }
}

/* --- handing over ------------------------------------------------------------------------------------------------- */

/* AddressSanitizer must know which stack code runs on. */
static void leave(void **fake, const void *stack, size_t size)
{
#if defined(STRANDS_SANITIZED)
    __sanitizer_start_switch_fiber(fake, stack, size);
#else
    (void)fake;
    (void)stack;
    (void)size;
#endif
}

static void arrive(void *fake, const void **stack, size_t *size)
{
#if defined(STRANDS_SANITIZED)
    __sanitizer_finish_switch_fiber(fake, stack, size);
#else
    (void)fake;
    (void)stack;
    (void)size;
#endif
}

/* What is the strand's own changes places with what is in the party. */
static void exchange_state(struct mpc_party *p, struct mpc_strand *s)
{
    struct mpc_strand held = *s;
    s->arena = p->arena;
    s->account = p->account;
    s->before_round = p->before_round;
    s->before_round_context = p->before_round_context;
    p->arena = held.arena;
    p->account = held.account;
    p->before_round = held.before_round;
    p->before_round_context = held.before_round_context;
}

static void give_back(struct mpc_strand *s, bool for_good)
{
    struct mpc_strands *owner = s->owner;
    void *fake = NULL;
    leave(for_good ? NULL : &fake, owner->caller_stack, owner->caller_size);
    (void)swapcontext(&s->own, &owner->caller);
    arrive(fake, &owner->caller_stack, &owner->caller_size);
}

static void enter(unsigned high, unsigned low)
{
    struct mpc_strand *s = (struct mpc_strand *)((uintptr_t)high << 32 | low);
    struct mpc_strands *owner = s->owner;
    arrive(NULL, &owner->caller_stack, &owner->caller_size);
    s->status = owner->fn(owner->context, s->index, owner->party);
    s->state = STRAND_ENDED;
    give_back(s, true);
}

/* Until it rests or has ended. */
static void run_on(struct mpc_strand *s)
{
    struct mpc_strands *owner = s->owner;
    struct mpc_party *p = owner->party;
    void *fake = NULL;
    exchange_state(p, s);
    p->strand = s;
    leave(&fake, s->stack + page_size(), STACK_BYTES);
    (void)swapcontext(&owner->caller, &s->own);
    arrive(fake, NULL, NULL);
    p->strand = NULL;
    exchange_state(p, s);
}

enum base_status mpc_strand_rest(struct mpc_party *p)
{
    struct mpc_strand *s = p->strand;
    if (mpc_failed(p))
        return p->status;
    s->state = STRAND_RESTS;
    give_back(s, false);
    return p->status;
}

/* --- running ------------------------------------------------------------------------------------------------------ */

static enum base_status make_ready(struct mpc_strand *s)
{
    uintptr_t self = (uintptr_t)s;
    if (getcontext(&s->own) != 0)
        return BASE_ERR_INTERNAL;
    s->own.uc_stack.ss_sp = s->stack + page_size();
    s->own.uc_stack.ss_size = STACK_BYTES;
    s->own.uc_link = NULL;
    s->state = STRAND_READY;
    s->status = BASE_OK;
    s->account = s->owner->party->account;
    s->before_round = NULL;
    s->before_round_context = NULL;
    /* makecontext hands over whole numbers of int's size alone. */
    makecontext(&s->own, (void (*)(void))enter, 2, (unsigned)(self >> 32), (unsigned)self);
    return BASE_OK;
}

/* One round for all that rest, declared where the first of them would declare it. */
static void round_for_all(struct mpc_party *p, const struct mpc_strand *first)
{
    struct mpc_cost *account = p->account;
    void (*before_round)(void *, struct mpc_party *) = p->before_round;
    p->account = first->account;
    p->before_round = NULL; /* strands have asked their own */
    enum base_status status = mpc_round(p);
    (void)status; /* the party holds it */
    p->account = account;
    p->before_round = before_round;
}

enum base_status mpc_strands_run(struct mpc_strands *strands, struct mpc_party *p, size_t count, mpc_strand_fn fn, void *context)
{
    if (count > strands->most || p->strand != NULL)
        mpc_fail(p, BASE_ERR_INTERNAL, "%zu strands, with room for %zu and none inside another", count, strands->most);
    if (mpc_failed(p))
        return p->status;
    strands->party = p;
    strands->fn = fn;
    strands->context = context;
    for (size_t i = 0; i < count; i++)
        if (make_ready(&strands->strand[i]) != BASE_OK)
            mpc_fail(p, BASE_ERR_INTERNAL, "a strand cannot be made");
    if (mpc_failed(p))
        return p->status;
    for (bool any = true; any;) {
        const struct mpc_strand *first = NULL;
        any = false;
        for (size_t i = 0; i < count; i++) {
            struct mpc_strand *s = &strands->strand[i];
            if (s->state != STRAND_ENDED)
                run_on(s);
            if (s->state == STRAND_RESTS && first == NULL)
                first = s;
        }
        any = first != NULL;
        if (any && !mpc_failed(p))
            round_for_all(p, first);
    }
    for (size_t i = 0; i < count && !mpc_failed(p); i++)
        if (strands->strand[i].status != BASE_OK)
            mpc_fail(p, strands->strand[i].status, "strand %zu failed and left no word", i);
    return p->status;
}
