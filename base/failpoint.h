/* Failpoints: named places at which a test build, and no other, can be told to fail.
 *
 * A site is one line, BASE_FAIL_SEND("net.hello.send"), before what it names. It enters itself into the list that the test build prints
 * (CACHET_FAILPOINT=list); there is no other list. Without CACHET_FAILPOINTS all of this is empty, and no name reaches the program: a test
 * looks for them in it.
 *
 * CACHET_FAILPOINT=NAME:N:ACTION does ACTION at the N-th passage of NAME, once. CACHET_FAILPOINT=@FILE takes such texts from a file that the
 * driver maps, too (struct base_failpoint_orders), so that one process can be told many faults, one after the other.
 *
 * Actions: kill (SIGKILL), term (SIGTERM), stop (SIGSTOP for three seconds), and, on the frame that is sent next, behind the keys, so that the peer gets an
 * authentic frame with a wrong content: cut (the connection ends in the middle of it), drop, double, swap (with the one after it), truncate,
 * extend, flip (one bit of the payload), header (one bit of the header). Where a site receives, cut is the only one of these; where it writes
 * a file, there are kill, term and stop. */
#ifndef CACHET_BASE_FAILPOINT_H
#define CACHET_BASE_FAILPOINT_H

#include <stddef.h>
#include <stdint.h>

/* What happens to the next frame. */
enum base_fault {
    BASE_FAULT_NONE,
    BASE_FAULT_CUT,
    BASE_FAULT_DROP,
    BASE_FAULT_DOUBLE,
    BASE_FAULT_SWAP,
    BASE_FAULT_TRUNCATE,
    BASE_FAULT_EXTEND,
    BASE_FAULT_FLIP,
    BASE_FAULT_HEADER,
};

#ifdef CACHET_FAILPOINTS

enum base_failpoint_kind { BASE_FAILPOINT_SEND, BASE_FAILPOINT_RECEIVE, BASE_FAILPOINT_WRITE };

enum {
    BASE_FAILPOINT_TEXT = 112,
    BASE_FINGERPRINT_BYTES = 16,
    BASE_FINGERPRINTS = 1 << 16, /* kept, the latest ones; drivers that compare them see from the count whether these are all */
    BASE_FAILPOINTS = 128,    /* whose passages are counted, in the order of the list */
};

struct base_failpoint {
    const char *name;
    enum base_failpoint_kind kind;
};

/* The file that driver and process share. */
struct base_failpoint_orders {
    uint32_t generation; /* raised by the driver when text is complete */
    uint32_t fired;      /* the generation whose fault has happened */
    uint32_t fingerprints;
    uint32_t unused;
    char text[BASE_FAILPOINT_TEXT]; /* NAME:N:ACTION, or empty */
    uint32_t passed[BASE_FAILPOINTS];
    uint8_t fingerprint[BASE_FINGERPRINTS][BASE_FINGERPRINT_BYTES];
};

/* `listed`: the entry of the list. */
void base_failpoint_pass(const struct base_failpoint *const *listed);
/* The fault that the next frame is to have, if it is among the first `most` of the enum; it is then used up. */
enum base_fault base_failpoint_take(enum base_fault most);
/* Records what a key or nonce can be recognised by, and nothing that it could be found from. */
void base_failpoint_fingerprint(const void *data, size_t size);

/* Pointers to the sites lie in a section of their own, which is the list. */
#define BASE_FAILPOINT(kind_, name_)                                                                                       \
    do {                                                                                                                   \
        static const struct base_failpoint point_ = {(name_), (kind_)};                                                    \
        static const struct base_failpoint *const listed_ __attribute__((used, section("cachet_failpoints"))) = &point_;   \
        base_failpoint_pass(&listed_);                                                                                     \
    } while (0)
#define BASE_FAIL_SEND(name) BASE_FAILPOINT(BASE_FAILPOINT_SEND, name)
#define BASE_FAIL_RECEIVE(name) BASE_FAILPOINT(BASE_FAILPOINT_RECEIVE, name)
#define BASE_FAIL_WRITE(name) BASE_FAILPOINT(BASE_FAILPOINT_WRITE, name)
#define BASE_FINGERPRINT(data, size) base_failpoint_fingerprint((data), (size))

#else

#define BASE_FAIL_SEND(name) ((void)0)
#define BASE_FAIL_RECEIVE(name) ((void)0)
#define BASE_FAIL_WRITE(name) ((void)0)
#define BASE_FINGERPRINT(data, size) ((void)0)

#endif
#endif
