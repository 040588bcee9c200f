#include "parties/serve/page.h"

#include "parties/serve/page_files.h"
#include "parties/serve/route.h"

#include <string.h>

enum MHD_Result serve_page_answer(struct serve_exchange *exchange)
{
    static const struct {
        const char *path, *type;
        const unsigned char *data;
        size_t size;
    } files[] = {
        {"/", "text/html; charset=utf-8", page_html, page_html_size},
        {"/page.css", "text/css; charset=utf-8", page_css, page_css_size},
        {"/page.js", "text/javascript; charset=utf-8", page_js, page_js_size},
    };
    size_t i = 0;
    while (i + 1 < sizeof files / sizeof *files && strcmp(files[i].path, exchange->route->path) != 0)
        i++;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(files[i].size, (void *)(uintptr_t)files[i].data, MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, files[i].type);
    (void)MHD_add_response_header(
        response, "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'");
    return serve_reply_queue(exchange, MHD_HTTP_OK, response);
}
