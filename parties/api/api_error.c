#include "parties/api/api_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int http_status;
    const char *type;
} faults[] = {
    [API_FAULT_REQUEST] = {400, "invalid_request_error"},
    [API_FAULT_KEY] = {401, "authentication_error"},
    [API_FAULT_FORBIDDEN] = {403, "permission_error"},
    [API_FAULT_NOT_FOUND] = {404, "invalid_request_error"},
    [API_FAULT_METHOD] = {405, "invalid_request_error"},
    [API_FAULT_SLOW] = {408, "invalid_request_error"},
    [API_FAULT_TOO_LARGE] = {413, "invalid_request_error"},
    [API_FAULT_MEDIA_TYPE] = {415, "invalid_request_error"},
    [API_FAULT_BUSY] = {429, "rate_limit_error"},
    [API_FAULT_INTERNAL] = {500, "server_error"},
    [API_FAULT_UNAVAILABLE] = {503, "service_unavailable_error"},
    [API_FAULT_TIMEOUT] = {504, "timeout_error"},
};

enum base_status api_fail(struct api_error *error, enum base_status status, enum api_fault fault, const char *param,
                          const char *code, const char *format, ...)
{
    va_list arguments;
    *error = (struct api_error){.http_status = faults[fault].http_status};
    (void)snprintf(error->type, sizeof error->type, "%s", faults[fault].type);
    (void)snprintf(error->param, sizeof error->param, "%s", param == NULL ? "" : param);
    (void)snprintf(error->code, sizeof error->code, "%s", code == NULL ? "" : code);
    va_start(arguments, format);
    (void)vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return status;
}

/* What each code of the client library means over HTTP. */
static const struct {
    enum cachet_code code;
    enum api_fault fault;
    const char *name;
} cachet_codes[] = {
    {CACHET_BAD_REQUEST, API_FAULT_REQUEST, "bad_request"},
    {CACHET_UNSUPPORTED, API_FAULT_REQUEST, "unsupported"},
    {CACHET_BUSY, API_FAULT_BUSY, "queue_full"},
    {CACHET_NO_MEMORY, API_FAULT_UNAVAILABLE, "out_of_memory"},
    {CACHET_NOT_READY, API_FAULT_UNAVAILABLE, "parties_not_ready"},
    {CACHET_CLOSED, API_FAULT_UNAVAILABLE, "party_gone"},
    {CACHET_BAD_PEER, API_FAULT_UNAVAILABLE, "party_broke_protocol"},
    {CACHET_MISMATCH, API_FAULT_UNAVAILABLE, "parties_disagree"},
    {CACHET_TIMEOUT, API_FAULT_TIMEOUT, "party_timeout"},
    {CACHET_IO, API_FAULT_INTERNAL, "input_output"},
    {CACHET_BAD_FILE, API_FAULT_INTERNAL, "bad_file"},
    {CACHET_OUT_OF_RANGE, API_FAULT_INTERNAL, "out_of_range"},
};

void api_error_from_cachet(struct api_error *ret, const struct cachet_error *error)
{
    for (size_t i = 0; i < sizeof cachet_codes / sizeof *cachet_codes; i++)
        if (cachet_codes[i].code == error->code) {
            (void)api_fail(ret, BASE_OK, cachet_codes[i].fault, NULL, cachet_codes[i].name, "%s", error->text);
            return;
        }
    (void)api_fail(ret, BASE_OK, API_FAULT_INTERNAL, NULL, "internal", "%s", error->text);
}

void api_error_from_base(struct api_error *ret, const struct base_error *error)
{
    if (error->code == BASE_ERR_MEMORY)
        (void)api_fail(ret, BASE_OK, API_FAULT_UNAVAILABLE, NULL, "out_of_memory", "%s", error->text);
    else
        (void)api_fail(ret, BASE_OK, API_FAULT_INTERNAL, NULL, "internal", "%s", error->text);
}

enum base_status api_error_model(struct api_error *ret, const char *served)
{
    return api_fail(ret, BASE_ERR_ARGUMENT, API_FAULT_NOT_FOUND, "model", "model_not_found",
                    "model is none that is served here; served: \"%s\"", served);
}
