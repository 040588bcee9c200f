/* Small helpers that every reader here shares: bytes of a file in memory, JSON fields, names in error texts. */
#ifndef CACHET_ENGINE_FORMATS_TEXT_H
#define CACHET_ENGINE_FORMATS_TEXT_H

#include "base/file.h"
#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A read-only view of bytes; borrowed. */
struct eng_bytes {
    const uint8_t *data;
    size_t size;
};

static inline struct eng_bytes eng_bytes_of(const struct base_file *file)
{
    return (struct eng_bytes){file->data, file->size};
}

/* base_file_map with a limit on the size. Errors: also BASE_ERR_SUPPORT when the file is larger than `limit` bytes. */
BASE_MUST_USE enum base_status eng_file_map(struct base_file *ret, const char *path, size_t limit,
                                            struct base_error *error);

/* directory + "/" + name into ret; BASE_ERR_ARGUMENT when it does not fit. */
BASE_MUST_USE enum base_status eng_path_join(char *ret, size_t capacity, const char *directory, const char *name,
                                             struct base_error *error);

/* A name from a file made fit for an error text: printable ASCII, cut at the end with "..." when long. */
struct eng_printable {
    char text[96];
};
struct eng_printable eng_printable(const void *bytes, size_t size);
struct eng_printable eng_printable_string(const char *string);

/* True when the bytes are exactly this string. */
bool eng_bytes_equal(struct eng_bytes bytes, const char *string);

/* Parses one JSON document that fills the bytes; duplicate keys are errors. *ret is owned by the caller.
 * Errors: BASE_ERR_FORMAT with line and column, BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status eng_json_parse(json_t **ret, struct eng_bytes bytes, struct base_error *error);

/* The same, with every number read as a floating one: for files that hold integers beyond 64 bits. */
BASE_MUST_USE enum base_status eng_json_parse_reals(json_t **ret, struct eng_bytes bytes, struct base_error *error);

/* One line of the value for an error text: "gpt_neox", 3, {...}. */
struct eng_printable eng_json_show(const json_t *value);

/* obj[field] as a whole number in [minimum, maximum]; a missing or null field is an error unless `fallback` is given
 * (pass SIZE_MAX for "required"). Errors: BASE_ERR_FORMAT naming field, value and range. */
struct eng_size_range {
    size_t minimum;
    size_t maximum;
    size_t fallback;
};
BASE_MUST_USE enum base_status eng_json_size(const json_t *object, const char *field, struct eng_size_range range,
                                             size_t *ret, struct base_error *error);

/* obj[field] as a finite number > 0; `fallback` <= 0 means required. */
BASE_MUST_USE enum base_status eng_json_positive(const json_t *object, const char *field, double fallback,
                                                 double *ret, struct base_error *error);

/* obj[field] as true or false; missing and null give the fallback. */
BASE_MUST_USE enum base_status eng_json_bool(const json_t *object, const char *field, bool fallback, bool *ret,
                                             struct base_error *error);

/* obj[field] as a borrowed string; missing and null give the fallback (NULL allowed). */
BASE_MUST_USE enum base_status eng_json_string(const json_t *object, const char *field, const char *fallback,
                                               const char **ret, struct base_error *error);

/* The stages of a part of a tokenizer.json: the elements of field `list` of a {"type": "Sequence"}, or else the value itself, whatever
 * it is, as the only stage. */
size_t eng_json_stages(const json_t *json, const char *list);
const json_t *eng_json_stage(const json_t *json, const char *list, size_t index);

#endif
