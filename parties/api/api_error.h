/* Refusals in the shape of OpenAI's API: {"error": {"message", "type", "param", "code"}}. A refusal names the field,
 * the number that was there and what is allowed; it never holds other text of a request than names of fields. */
#ifndef CACHET_PARTIES_API_ERROR_H
#define CACHET_PARTIES_API_ERROR_H

#include "base/status.h"
#include "parties/cachet.h"

struct api_error {
    int http_status;
    char type[40];  /* "invalid_request_error", "server_error", ... */
    char param[96]; /* "messages[2].content"; "": null */
    char code[40];  /* "model_not_found"; "": null */
    char message[1152];
};

/* Who is at fault, and the HTTP status and type that say so. */
enum api_fault {
    API_FAULT_REQUEST,     /* 400 invalid_request_error */
    API_FAULT_KEY,         /* 401 authentication_error */
    API_FAULT_FORBIDDEN,   /* 403 permission_error */
    API_FAULT_NOT_FOUND,   /* 404 invalid_request_error */
    API_FAULT_METHOD,      /* 405 invalid_request_error */
    API_FAULT_SLOW,        /* 408 invalid_request_error */
    API_FAULT_TOO_LARGE,   /* 413 invalid_request_error */
    API_FAULT_MEDIA_TYPE,  /* 415 invalid_request_error */
    API_FAULT_BUSY,        /* 429 rate_limit_error */
    API_FAULT_INTERNAL,    /* 500 server_error */
    API_FAULT_UNAVAILABLE, /* 503 service_unavailable_error */
    API_FAULT_TIMEOUT,     /* 504 timeout_error */
};

/* Fills the error and returns `status`. param and code may be NULL. The text must not hold secrets. */
__attribute__((format(printf, 6, 7))) enum base_status api_fail(struct api_error *error, enum base_status status,
                                                                enum api_fault fault, const char *param,
                                                                const char *code, const char *format, ...);

/* The failure of a call of the client library, as an answer over HTTP. Which codes are whose fault: see the table in
 * api_error.c. */
void api_error_from_cachet(struct api_error *ret, const struct cachet_error *error);
/* The same for a failure of the framework itself (memory, files). */
void api_error_from_base(struct api_error *ret, const struct base_error *error);

/* 404 model_not_found. served: the name that would be right. */
enum base_status api_error_model(struct api_error *ret, const char *served);

#endif
