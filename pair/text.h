/* What two parties have made for one text, prompt and answer, as a file (pair/sealed.h): made step by step before the text exists, used step by step
 * once.
 *
 * The masks of a text run through its cache, so its material belongs together: a text is used from its first step on, whole or in its beginning, and
 * what is left of it is lost. Masks are drawn from keys of this text alone, which the file holds; so is the Delta under which its trees were grown,
 * as the parties have another one when they have met anew.
 *
 *   about    party, id, form, owner, steps
 *   stream   keys of own masks and of the input's, Delta; then for each step: rows, answers, trees; for each record its size and bytes; 2^64 - 1
 *
 * Cost: the records, 8 bytes for each and 32 for each step, and the seals; reading and checking all of it once before its use.
 * Reveals: form and time of writing, to who sees the file's name and size. */
#ifndef CACHET_PAIR_TEXT_H
#define CACHET_PAIR_TEXT_H

#include "pair/party.h"
#include "pair/sealed.h"
#include "pair/tape.h"

enum { PAIR_TEXT_ID = 16, PAIR_TEXT_OWNER = 32, PAIR_TEXT_MASK_KEY = 16 };

/* The text's public sizes. mode: what its steps answer (engine/request.h). */
struct pair_text_form {
    uint32_t prompt_tokens, new_tokens, chunk, mode;
};

struct pair_text_about {
    int party;
    uint8_t id[PAIR_TEXT_ID]; /* alike at both */
    struct pair_text_form form;
    uint8_t owner[PAIR_TEXT_OWNER]; /* digest of all that the material depends on beside the form: model, plan, shares, policy, build */
    uint32_t steps;
};

/* Secret. */
struct pair_text_keys {
    uint8_t own[PAIR_TEXT_MASK_KEY], input[PAIR_TEXT_MASK_KEY];
    struct pair_block delta;
};

/* A text that is being made, or one that is being used. */
struct pair_text {
    struct pair_sealed *file; /* NULL: none */
    struct pair_text_about about;
};

/* Errors of all: those of pair/sealed.h. key: the party's. */
BASE_MUST_USE enum base_status pair_text_create(struct pair_text *ret, const char *path, const uint8_t key[PAIR_SEALED_KEY], const struct pair_text_about *about,
                                                const struct pair_text_keys *keys, struct base_error *error);
/* Takes all records off the tape: those of one step. */
BASE_MUST_USE enum base_status pair_text_keep(struct pair_text *text, struct pair_tape *tape, size_t rows, size_t answers, struct base_error *error);
/* Complete and on disk, not yet in its place; pair_text_place puts it there. */
BASE_MUST_USE enum base_status pair_text_close(struct pair_text *text, struct base_error *error);
BASE_MUST_USE enum base_status pair_text_place(struct pair_text *text, struct base_error *error);

/* What a whole file is about; *ret_used: it was used, and says nothing any more. */
BASE_MUST_USE enum base_status pair_text_look(const char *path, const uint8_t key[PAIR_SEALED_KEY], struct pair_text_about *ret, bool *ret_used,
                                              struct base_error *error);
/* Checks all of it, marks it used on disk, and only then gives out its keys. *ret is empty after a failure. */
BASE_MUST_USE enum base_status pair_text_use(struct pair_text *ret, const char *path, const uint8_t key[PAIR_SEALED_KEY], struct pair_text_keys *ret_keys,
                                             struct base_error *error);
/* The records of the next step, onto the tape. Errors: BASE_ERR_MISMATCH for other sizes than it was made for, BASE_ERR_CLOSED after the last step. */
BASE_MUST_USE enum base_status pair_text_load(struct pair_text *text, struct pair_tape *tape, size_t rows, size_t answers, struct base_error *error);
/* Wipes, frees, and removes a file that was not completed or is used. */
void pair_text_finish(struct pair_text *text);

#endif
