#include "parties/options_pages.h"

#include <string.h>

/* --- man ------------------------------------------------------------------------------------------------ */

void options_print_roff(FILE *out, const char *text)
{
    bool begins = true;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\n') {
            if (c[1] != '\0')
                (void)fputs("\n.PP\n", out);
            begins = true;
            continue;
        }
        if (begins && (*c == '.' || *c == '\''))
            (void)fputs("\\&", out);
        begins = false;
        if (*c == '\\')
            (void)fputs("\\e", out);
        else if (*c == '-')
            (void)fputs("\\-", out);
        else if (*c == '\'')
            (void)fputs("\\(aq", out);
        else if (*c == '^' || *c == '~' || *c == '`')
            (void)fprintf(out, "%s", *c == '^' ? "\\(ha" : *c == '~' ? "\\(ti" : "\\(ga");
        else
            (void)fputc(*c, out);
    }
    (void)fputc('\n', out);
}

/* "--name VALUE" or "[VALUE]", in bold and italics. */
static void print_form(FILE *out, const struct option_entry *e)
{
    char name[OPTION_VARIABLE * 2];
    size_t at = 0;
    for (const char *c = e->name; *c != '\0' && at + 3 < sizeof name; c++) {
        if (*c == '-')
            name[at++] = '\\';
        name[at++] = *c;
    }
    name[at] = '\0';
    if (e->kind == OPTION_WORD)
        (void)fprintf(out, "\\fI%s\\fR", e->value);
    else if (e->value == NULL)
        (void)fprintf(out, "\\fB\\-\\-%s\\fR", name);
    else
        (void)fprintf(out, "\\fB\\-\\-%s\\fR \\fI%s\\fR", name, e->value);
}

static void print_synopsis(FILE *out, const struct options_page *page)
{
    (void)fprintf(out, ".SH SYNOPSIS\n\\fB%s\\fR", page->command);
    for (const struct option_entry *e = page->entries; e->name != NULL; e++)
        if (e->required || e->kind == OPTION_WORD) {
            (void)fputs(e->required ? " " : " [", out);
            print_form(out, e);
            (void)fputs(e->required ? "" : "]", out);
        }
    (void)fputs(" [\\fIOPTION\\fR ...]\n", out);
}

static void print_man(FILE *out, const struct options_page *page)
{
    char variable[OPTION_VARIABLE];
    print_synopsis(out, page);
    (void)fputs(".SH DESCRIPTION\n", out);
    options_print_roff(out, page->summary);
    if (page->more != NULL) {
        (void)fputs(".PP\n", out);
        options_print_roff(out, page->more);
    }
    (void)fputs(".SH OPTIONS\n", out);
    for (const struct option_entry *e = page->entries; e->name != NULL; e++) {
        (void)fputs(".TP\n", out);
        print_form(out, e);
        (void)fputc('\n', out);
        options_print_roff(out, e->help);
        if (e->kind == OPTION_COUNT || e->kind == OPTION_REAL)
            (void)fprintf(out, "[%.16g to %.16g]\n", e->low, e->high);
        if (e->required)
            (void)fputs("[required]\n", out);
    }
    (void)fputs(".TP\n\\fB\\-\\-help\\fR\na short form of this page\n.SH ENVIRONMENT\n", out);
    options_print_roff(out, OPTIONS_VARIABLES " A flag without a value is 1 or 0 there.");
    for (const struct option_entry *e = page->entries; e->name != NULL; e++) {
        if (e->kind == OPTION_WORD)
            continue;
        options_variable(e->name, variable);
        (void)fprintf(out, ".TP\n\\fB%s\\fR\nas ", variable);
        print_form(out, e);
        (void)fputc('\n', out);
    }
}

/* --- shells --------------------------------------------------------------------------------------------- */

void options_print_quoted(FILE *out, const char *text, bool zsh)
{
    (void)fputc('\'', out);
    for (const char *c = text; *c != '\0'; c++) {
        if (zsh && strchr("\\[]:", *c) != NULL)
            (void)fputc('\\', out);
        if (*c == '\'')
            (void)fputs("'\\''", out);
        else
            (void)fputc(*c == '\n' ? ' ' : *c, out);
    }
    (void)fputc('\'', out);
}

/* Whether a value names a file or directory. */
static bool is_path(const struct option_entry *e)
{
    return e->words == NULL && e->value != NULL &&
           (strcmp(e->value, "FILE") == 0 || strcmp(e->value, "DIR") == 0 || strcmp(e->value, "PATH") == 0);
}

static void print_words(FILE *out, const struct option_entry *e)
{
    for (const char *const *word = e->words; *word != NULL; word++)
        (void)fprintf(out, "%s%s", word == e->words ? "" : " ", *word);
}

/* Which part of the entries a variable of the bash script lists. */
enum listed { LISTED_FLAGS, LISTED_PATHS, LISTED_VALUES };

static void print_list(FILE *out, const struct options_page *page, const char *name, enum listed listed)
{
    (void)fprintf(out, "        %s=\"", name);
    for (const struct option_entry *e = page->entries; e->name != NULL; e++)
        if (e->kind != OPTION_WORD && (listed == LISTED_FLAGS || (listed == LISTED_PATHS && is_path(e)) ||
                                       (listed == LISTED_VALUES && e->value != NULL && !is_path(e))))
            (void)fprintf(out, " --%s", e->name);
    (void)fprintf(out, "%s \"\n", listed == LISTED_FLAGS ? " --help" : "");
}

static void print_bash(FILE *out, const struct options_page *page, const char *name)
{
    (void)fprintf(out, "    %s)\n", name);
    print_list(out, page, "flags", LISTED_FLAGS);
    print_list(out, page, "paths", LISTED_PATHS);
    print_list(out, page, "values", LISTED_VALUES);
    (void)fputs("        case $before in\n", out);
    for (const struct option_entry *e = page->entries; e->name != NULL; e++)
        if (e->words != NULL && e->kind != OPTION_WORD) {
            (void)fprintf(out, "        --%s) words=\"", e->name);
            print_words(out, e);
            (void)fputs("\" ;;\n", out);
        }
    (void)fputs("        esac\n", out);
    for (const struct option_entry *e = page->entries; e->name != NULL; e++)
        if (e->kind == OPTION_WORD) {
            (void)fputs("        plain=\"", out);
            if (e->words != NULL)
                print_words(out, e);
            else
                (void)fputs("$commands", out);
            (void)fputs("\"\n", out);
        }
    (void)fputs("        ;;\n", out);
}

static void print_zsh(FILE *out, const struct options_page *page, const char *name)
{
    (void)fprintf(out, "    %s)\n        _arguments", name);
    for (const struct option_entry *e = page->entries; e->name != NULL; e++) {
        (void)fputs(" \\\n            ", out);
        if (e->kind == OPTION_WORD)
            (void)fprintf(out, "'%s:%s:", e->required ? "" : ":", e->name);
        else
            (void)fprintf(out, "'--%s'", e->name);
        if (e->kind != OPTION_WORD) {
            /* The description stands in brackets within the same word. */
            (void)fputs("'['", out);
            options_print_quoted(out, e->help, true);
            (void)fputs("']", out);
            if (e->value != NULL)
                (void)fprintf(out, ":%s:", is_path(e) ? "file" : "value");
        }
        if (e->words != NULL) {
            (void)fputc('(', out);
            print_words(out, e);
            (void)fputc(')', out);
        } else if (e->kind == OPTION_WORD)
            (void)fputs("($names)", out);
        else if (is_path(e))
            (void)fputs("_files", out);
        (void)fputc('\'', out);
    }
    (void)fputs(" \\\n            '--help[a page of help]'\n        ;;\n", out);
}

static void print_fish(FILE *out, const struct options_page *page, const char *name)
{
    for (const struct option_entry *e = page->entries; e->name != NULL; e++) {
        (void)fprintf(out, "complete -c cachet -n '__fish_seen_subcommand_from %s'", name);
        if (e->kind != OPTION_WORD)
            (void)fprintf(out, " -l %s%s", e->name, e->value == NULL ? "" : is_path(e) ? " -r -F" : " -x");
        if (e->words != NULL || e->kind == OPTION_WORD) {
            (void)fputs(" -a '", out);
            if (e->words != NULL)
                print_words(out, e);
            else
                (void)fputs("$__cachet_commands", out);
            (void)fputc('\'', out);
        }
        (void)fputs(" -d ", out);
        options_print_quoted(out, e->help, false);
        (void)fputc('\n', out);
    }
    (void)fprintf(out, "complete -c cachet -n '__fish_seen_subcommand_from %s' -l help -d 'a page of help'\n", name);
}

/* -------------------------------------------------------------------------------------------------------- */

enum base_status options_page_print(FILE *out, const char *format, const struct options_page *page,
                                    struct base_error *error)
{
    const char *name = strrchr(page->command, ' ');
    name = name == NULL ? page->command : name + 1;
    if (strcmp(format, "man") == 0)
        print_man(out, page);
    else if (strcmp(format, "bash") == 0)
        print_bash(out, page, name);
    else if (strcmp(format, "zsh") == 0)
        print_zsh(out, page, name);
    else if (strcmp(format, "fish") == 0)
        print_fish(out, page, name);
    else
        return base_fail(error, BASE_ERR_ARGUMENT, "there is no page of the format \"%.20s\"", format);
    return BASE_OK;
}
