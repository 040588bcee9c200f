/* The texts that a party has made ahead of use (pair/text.h): a folder of its own, and what the two parties agree on about it.
 *
 * A text counts when both have it: they compare ids when they meet, and from then on each takes and adds what the other does, in one order. A text is
 * taken in three steps: each party checks its file and marks it used, on disk; each tells the other whether that went well; then it is used, or
 * dropped where one could not. So a crash between any two steps leaves a text that one of them cannot open any more, and no mask is drawn twice. What
 * a party has and its peer has not is set aside by name.
 *
 * The folder: 0700, locked while a party runs. ID.text, ID in 32 hex digits, and ID.text.partial while it is made; what was left unfinished or used is
 * removed when the folder is opened.
 *
 * Cost: 2 exchanges when the parties meet, 16 bytes each way for each text; 1 exchange of 20 bytes for a text that is tried; 1 of 256 bytes for each
 * step that is kept and 2 for the end of a text.
 * Reveals: to the peer which texts there are and whether writing them went well; nothing depends on a secret. */
#ifndef CACHET_PAIR_SPOOL_H
#define CACHET_PAIR_SPOOL_H

#include "base/log.h"
#include "pair/text.h"

#include <stdbool.h>

enum { PAIR_SPOOL_MOST = 4096 };

struct pair_spool_config {
    const char *directory;              /* NULL: no spool */
    const struct base_log *log;         /* borrowed; what is set aside is named there */
    int party;                          /* 1 or 2 */
    uint8_t key[PAIR_SEALED_KEY];       /* the party's own: nobody else can write or read its files. Secret */
    uint8_t owner[PAIR_TEXT_OWNER];
    uint32_t most;                      /* texts that wait at the same time, PAIR_SPOOL_MOST at most */
};

struct pair_spool {
    struct pair_spool_config config;
    int lock; /* the folder; -1: not open */
    bool both; /* the peer has a spool, too */
    struct pair_text_about *text; /* those that both have, in the order in which both take them */
    size_t count, room;
    size_t aside; /* files that were named and not taken */
    uint8_t session[PAIR_SESSION];
    uint64_t made; /* in this session: part of ids */
    struct pair_text making;
    struct base_error failure; /* of the text that is being made: its peer hears of it after the step */
};

/* Makes the folder where there is none, locks it, and removes what is of no use. Copies config, borrows its texts. Errors: BASE_ERR_IO,
 * BASE_ERR_MISMATCH (others may read it), BASE_ERR_CLOSED (another process has it). */
BASE_MUST_USE enum base_status pair_spool_open(struct pair_spool *ret, const struct pair_spool_config *config, struct base_error *error);
void pair_spool_close(struct pair_spool *spool);
/* Reads the folder and changes nothing: for people who look, while a party may run. Errors as above, without the lock. */
BASE_MUST_USE enum base_status pair_spool_survey(struct pair_spool *ret, const struct pair_spool_config *config, struct base_error *error);

/* After the parties have met (p: of this meeting), also without a spool. Errors: those of the link, BASE_ERR_PEER. */
BASE_MUST_USE enum base_status pair_spool_meet(struct pair_spool *spool, struct pair_party *p, struct base_error *error);

static inline bool pair_spool_works(const struct pair_spool *spool)
{
    return spool->config.directory != NULL && spool->both;
}

/* How many texts of this form wait: those with as many new tokens or more. */
size_t pair_spool_waiting(const struct pair_spool *spool, const struct pair_text_form *form);
/* "40+16 (2), 12+8 (1)": prompt and new tokens of what waits, and how many; "none". */
void pair_spool_describe(const struct pair_spool *spool, char *ret, size_t size);

/* Takes a text that fits, the one with the fewest new tokens; it is marked at both when this returns. ret->file stays NULL where none is left.
 * Errors: those of the link, BASE_ERR_MISMATCH (the peer takes another one). */
BASE_MUST_USE enum base_status pair_spool_take(struct pair_spool *spool, struct pair_party *p, const struct pair_text_form *form, struct pair_text *ret,
                                               struct pair_text_keys *ret_keys, struct base_error *error);

/* Begins a text. What goes wrong in writing it comes out of the next keep. ret_refusal: no spool, or it is full, alike at both. */
void pair_spool_begin(struct pair_spool *spool, const struct pair_text_form *form, const struct pair_text_keys *keys, struct base_error *ret_refusal);
/* The step that both have made: from the tape to the file. ret_refusal: one of the two could not write, and both have dropped the text. Errors: those
 * of the link. */
BASE_MUST_USE enum base_status pair_spool_keep(struct pair_spool *spool, struct pair_party *p, struct pair_tape *tape, size_t rows, size_t answers,
                                               struct base_error *ret_refusal, struct base_error *error);
/* The text is complete: it counts from here on. As above. */
BASE_MUST_USE enum base_status pair_spool_end(struct pair_spool *spool, struct pair_party *p, struct base_error *ret_refusal, struct base_error *error);
/* Drops a text that is not complete. */
void pair_spool_abandon(struct pair_spool *spool);

#endif
