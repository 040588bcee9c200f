/* The page of openings: every entry of the registry, which operations of the program open under it, and what a
 * request under each cache policy opens, counted by the decoder graph itself. Beside the trust page, which says
 * what follows from it. */
#ifndef CACHET_PARTIES_LEAKAGE_H
#define CACHET_PARTIES_LEAKAGE_H

#include "base/status.h"

#include <stdio.h>

/* Markdown; the same on every machine. Errors: BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status leakage_print(FILE *out, struct base_error *error);

/* The registry alone, as a table. */
void leakage_print_registry(FILE *out);

#endif
