/* Whether jansson ran out of memory: it answers that like malformed text when it reads, or leaves parts out, as it does when it builds. So
 * neither its errors nor its values can be believed without asking. */
#ifndef CACHET_ENGINE_FORMATS_JSON_MEMORY_H
#define CACHET_ENGINE_FORMATS_JSON_MEMORY_H

#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>

/* Forgets what this thread has seen. Its first call gives jansson functions that note failures, and else do what malloc and free do. */
void eng_json_watch(void);
/* Whether jansson has asked in vain in this thread since then. */
bool eng_json_lacks_memory(void);
/* The failure if it has, else BASE_OK; `what` is what was read or built. */
BASE_MUST_USE enum base_status eng_json_check_memory(const char *what, struct base_error *error);

/* json_loadb, watched: NULL where memory was short, whatever came of it. */
json_t *eng_json_read(const void *text, size_t size, size_t flags, json_error_t *ret_reason);

/* Writes what was built since eng_json_watch to a file. Errors: BASE_ERR_MEMORY where parts of it may be missing, BASE_ERR_IO. */
BASE_MUST_USE enum base_status eng_json_write(const json_t *root, const char *path, size_t flags, struct base_error *error);

#endif
