/* cachet man: manual pages, as roff for man -l or /usr/share/man, from the tables that --help is printed from. */
#include "base/text.h"
#include "parties/command.h"
#include "parties/options.h"
#include "parties/options_pages.h"
#include "parties/version.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* "cachet\-keygen", or "cachet" alone; the title in capitals. */
static void begin_page(const struct command *command, const char *summary)
{
    const char *dash = command == NULL ? "" : "-", *name = command == NULL ? "" : command->name;
    (void)printf(".TH CACHET%s", dash);
    for (const char *c = name; *c != '\0'; c++)
        (void)putchar(toupper((unsigned char)*c));
    (void)printf(" 1 \"\" \"cachet %s\" \"cachet manual\"\n.SH NAME\ncachet%s%s \\- ", CACHET_VERSION,
                 command == NULL ? "" : "\\-", name);
    options_print_roff(stdout, summary);
}

static void print_statuses(void)
{
    (void)puts(".SH EXIT STATUS");
    for (int i = 0; base_status_meaning((enum base_status)i) != NULL; i++) {
        (void)printf(".TP\n.B %d\n", base_status_exit_code((enum base_status)i));
        options_print_roff(stdout, base_status_meaning((enum base_status)i));
    }
}

static void print_see_also(const struct command *own)
{
    (void)puts(".SH SEE ALSO");
    (void)printf("%s", own == NULL ? "" : ".BR cachet (1)");
    for (const struct command *const *command = command_list(); *command != NULL; command++)
        if (*command != own)
            (void)printf("%s.BR cachet\\-%s (1)", own == NULL && command == command_list() ? "" : ",\n",
                         (*command)->name);
    (void)putchar('\n');
}

/* What the whole program has in common. */
static void print_program(void)
{
    begin_page(NULL, "private LLM inference on secret shares");
    (void)puts(".SH SYNOPSIS\n\\fBcachet\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR ...]\n.SH DESCRIPTION");
    options_print_roff(stdout,
                       "Three processes, run by parties that do not trust each other, hold a language model's weights "
                       "and a user's prompt as secret shares and generate text from them.\n"
                       "Results are written to standard output, everything else to standard error. cachet check "
                       "--trust says who learns what.");
    (void)puts(".SH COMMANDS");
    for (const struct command *const *command = command_list(); *command != NULL; command++) {
        (void)printf(".TP\n.BR cachet\\-%s (1)\n", (*command)->name);
        options_print_roff(stdout, (*command)->summary);
    }
    (void)puts(".SH ENVIRONMENT");
    options_print_roff(stdout, OPTIONS_VARIABLES);
    print_statuses();
    (void)puts(".SH EXAMPLES");
    (void)puts("A whole deployment on this machine, and one request:\n.PP\n.RS\n.nf\n"
               "cachet up \\-\\-model DIR \\-\\-prompt TEXT \\-\\-max\\-tokens 40\n.fi\n.RE");
    print_see_also(NULL);
}

static enum base_status print_command(const struct command *command, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char name[64], describe[] = OPTIONS_DESCRIBE "man";
    (void)snprintf(name, sizeof name, "cachet %s", command->name);
    char *argv[] = {name, describe, NULL};
    begin_page(command, command->summary);
    TRY(command->run(2, argv, error));
    print_statuses();
    print_see_also(command);
out:
    return status;
}

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const char *name = NULL;
    bool list = false, done = false;
    const struct option_entry options[] = {
        {.name = "command",
         .value = "COMMAND",
         .help = "the command whose page is printed",
         .kind = OPTION_WORD,
         .target = &name},
        {.name = "list", .help = "print the names of all commands instead", .kind = OPTION_FLAG, .target = &list},
        OPTION_END};
    TRY(options_parse(argc, argv, "Prints the manual page of the program or of a command as roff.",
                      "To read one: cachet man generate | man -l -", options, &done, error));
    if (done)
        return BASE_OK;
    if (list) {
        for (const struct command *const *command = command_list(); *command != NULL; command++)
            (void)puts((*command)->name);
        return BASE_OK;
    }
    if (name == NULL) {
        print_program();
        return BASE_OK;
    }
    const struct command *command;
    TRY(command_find(name, &command, error));
    TRY(print_command(command, error));
out:
    return status;
}

const struct command command_man = {"man", "manual pages, as roff", run, false};
