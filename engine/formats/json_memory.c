#include "engine/formats/json_memory.h"

#include "base/file.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local bool lacking;

static void *take(size_t size)
{
    void *memory = malloc(size);
    lacking = lacking || memory == NULL;
    return memory;
}

static void install(void)
{
    json_set_alloc_funcs(take, free);
}

void eng_json_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, install);
    lacking = false;
}

bool eng_json_lacks_memory(void)
{
    return lacking;
}

json_t *eng_json_read(const void *text, size_t size, size_t flags, json_error_t *ret_reason)
{
    eng_json_watch();
    json_t *root = json_loadb(text, size, flags, ret_reason);
    if (!lacking)
        return root;
    json_decref(root);
    return NULL;
}

enum base_status eng_json_check_memory(const char *what, struct base_error *error)
{
    return lacking ? base_fail(error, BASE_ERR_MEMORY, "%s: cannot allocate its JSON: free memory", what) : BASE_OK;
}

enum base_status eng_json_write(const json_t *root, const char *path, size_t flags, struct base_error *error)
{
    /* The text, too, may lack its end. */
    char *text = json_dumps(root, flags);
    enum base_status status = eng_json_check_memory(path, error);
    if (status == BASE_OK && text == NULL)
        status = base_fail(error, BASE_ERR_INTERNAL, "%s: its JSON cannot be written", path);
    if (status == BASE_OK)
        status = base_file_replace(path, text, strlen(text), error);
    free(text);
    return status;
}
