/* The page: three files that the build puts into the program. */
#ifndef CACHET_PARTIES_SERVE_PAGE_H
#define CACHET_PARTIES_SERVE_PAGE_H

#include "parties/serve/reply.h"

/* "/", "/page.css" or "/page.js", as the route says. The page may load nothing from elsewhere
 * (Content-Security-Policy). */
enum MHD_Result serve_page_answer(struct serve_exchange *exchange);

#endif
