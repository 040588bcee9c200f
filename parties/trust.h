/* The page that users read first: who holds what, who learns what, which values leave the shares. Generated
 * from the registry of openings and the cache policies, so that it cannot fall behind the code. */
#ifndef CACHET_PARTIES_TRUST_H
#define CACHET_PARTIES_TRUST_H

#include <stdio.h>

/* Markdown. */
void trust_print(FILE *out);

#endif
