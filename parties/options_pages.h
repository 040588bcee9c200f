/* What is made from a command's table of flags beside its --help page: its part of the man page and of the
 * completions of shells. */
#ifndef CACHET_PARTIES_OPTIONS_PAGES_H
#define CACHET_PARTIES_OPTIONS_PAGES_H

#include "parties/options.h"

#include <stdio.h>

/* The hidden argument that asks a command for one of them, with the name of a format behind it: "man", "bash", "zsh", "fish". */
#define OPTIONS_DESCRIBE "--describe="
#define OPTIONS_VARIABLES                                                                                    \
    "Every flag --some-flag may also be given as the environment variable CACHET_SOME_FLAG; the flag wins."

struct options_page {
    const char *command; /* "cachet NAME" */
    const char *summary, *more;
    const struct option_entry *entries;
};

/* man: the sections SYNOPSIS, DESCRIPTION, OPTIONS and ENVIRONMENT. The shells: the command's case in the
 * script of parties/cmd_completion.c. Errors: BASE_ERR_ARGUMENT for an unknown format. */
BASE_MUST_USE enum base_status options_page_print(FILE *out, const char *format, const struct options_page *page,
                                                  struct base_error *error);

/* Text of a man page: what roff would read as a command or change is escaped, and line ends begin paragraphs. */
void options_print_roff(FILE *out, const char *text);
/* Text within single quotes of a shell; zsh: of a description for _arguments, too. */
void options_print_quoted(FILE *out, const char *text, bool zsh);

#endif
