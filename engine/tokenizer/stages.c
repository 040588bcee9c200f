#include "engine/tokenizer/stages.h"

#include <string.h>

static bool is_sequence(const json_t *json)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    return type != NULL && strcmp(type, "Sequence") == 0;
}

enum base_status eng_stages_check(const json_t *json, const char *part, const char *list,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    const json_t *stages = json_object_get(json, list);
    size_t i;
    json_t *stage;
    if (!is_sequence(json))
        return BASE_OK;
    TRY_THAT(json_is_array(stages), error, BASE_ERR_FORMAT, "%s.%s is %s; a Sequence must hold a list there",
             part, list, eng_json_show(stages).text);
    json_array_foreach(stages, i, stage)
    {
        TRY_THAT(json_is_object(stage), error, BASE_ERR_FORMAT,
                 "%s.%s[%zu] is %s; it must be an object with a type", part, list, i,
                 eng_json_show(stage).text);
        TRY_THAT(!is_sequence(stage), error, BASE_ERR_SUPPORT,
                 "%s.%s[%zu] is a Sequence inside a Sequence; cachet supports one level: write its stages in "
                 "its place",
                 part, list, i);
    }
out:
    return status;
}
