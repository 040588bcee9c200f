/* The pipelines of a tokenizer.json: one stage, or a Sequence of stages. */
#ifndef CACHET_ENGINE_TOKENIZER_STAGES_H
#define CACHET_ENGINE_TOKENIZER_STAGES_H

#include "engine/formats/text.h"

/* Looks at the form of a part ("pre_tokenizer") before its stages are walked with eng_json_stages: a Sequence
 * must hold its list, of objects that are no Sequences themselves. Anything but a Sequence passes. Errors:
 * BASE_ERR_FORMAT and BASE_ERR_SUPPORT naming the part and the place in the list. */
BASE_MUST_USE enum base_status eng_stages_check(const json_t *json, const char *part, const char *list,
                                                struct base_error *error);

#endif
