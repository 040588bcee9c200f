/* Status codes and error texts: how every fallible function of cachet answers.
 *
 * A function that can fail returns an enum base_status and, where a person will have to act on the failure, fills
 * a struct base_error with one sentence that says what, where, which value and what to do. Neither ever holds a
 * secret value. */
#ifndef CACHET_BASE_STATUS_H
#define CACHET_BASE_STATUS_H

enum base_status {
    BASE_OK = 0,
    BASE_ERR_ARGUMENT,  /* the caller's request makes no sense (bad flag, bad shape in a call) */
    BASE_ERR_MEMORY,    /* an allocation failed or the machine has too little */
    BASE_ERR_IO,        /* a file or directory cannot be read or written */
    BASE_ERR_FORMAT,    /* a file's content is malformed, truncated or lies about itself */
    BASE_ERR_SUPPORT,   /* well-formed, but outside what this program supports */
    BASE_ERR_RANGE,     /* a bound, ring or fraction-bit condition does not hold */
    BASE_ERR_PEER,      /* a peer broke the protocol: wrong frame, wrong step, wrong length */
    BASE_ERR_MISMATCH,  /* two parties, or a file and a config, disagree on a field */
    BASE_ERR_TIMEOUT,   /* a deadline passed */
    BASE_ERR_CLOSED,    /* the peer ended the session, or this party was asked to stop */
    BASE_ERR_INTERNAL,  /* a condition that the code itself must keep was broken */
};

/* One failure, for people. Zero-initialise; the first failure is kept, later ones do not overwrite it. */
struct base_error {
    enum base_status code;
    char text[768];
};

#define BASE_MUST_USE __attribute__((warn_unused_result))

/* Stable lower-case name of a code ("format", "timeout"), for logs and --json. */
const char *base_status_name(enum base_status status);

/* What a code means, in words of users: for help and man pages; NULL past the last one. */
const char *base_status_meaning(enum base_status status);

/* The process exit code that belongs to a status: 0, or 2..12 in the order of the enum. */
int base_status_exit_code(enum base_status status);
/* Which status has that code; BASE_ERR_INTERNAL for one that none has. */
enum base_status base_status_of_exit_code(int code);

/* Records a failure and returns `code`, so that `return base_fail(error, ...)` is one line. `error` may be NULL.
 * The text must not contain secrets. */
__attribute__((format(printf, 3, 4))) enum base_status base_fail(struct base_error *error, enum base_status code,
                                                                 const char *format, ...);

/* Puts "context: " before the text that is there, for callers that know the file or peer. */
__attribute__((format(printf, 2, 3))) void base_error_prefix(struct base_error *error, const char *format, ...);

/* Needs `enum base_status status` and an `out:` label in the function. */
#define TRY(expression)                                                                                            \
    do {                                                                                                           \
        status = (expression);                                                                                     \
        if (status != BASE_OK)                                                                                     \
            goto out;                                                                                              \
    } while (0)

/* The same for a condition of our own: TRY_THAT(n > 0, error, BASE_ERR_ARGUMENT, "n is %zu", n). */
#define TRY_THAT(condition, error, code, ...)                                                                      \
    do {                                                                                                           \
        if (!(condition)) {                                                                                        \
            status = base_fail((error), (code), __VA_ARGS__);                                                      \
            goto out;                                                                                              \
        }                                                                                                          \
    } while (0)

#endif
