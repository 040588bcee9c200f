#include "parties/options.h"

#include "base/text.h"
#include "parties/options_pages.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 48, FIRST_KEY = 0x1000, HELP_KEY = '?' };

struct parse {
    const struct option_entry *entries;
    bool given[MAX_OPTIONS];
    bool done;
    enum base_status status;
    struct base_error *error;
};

static enum base_status read_number(const struct option_entry *entry, const char *value, const char *from,
                                    double *ret, struct base_error *error)
{
    char *end;
    errno = 0;
    double number = strtod(value, &end);
    bool whole = entry->kind != OPTION_COUNT || (number == floor(number) && strpbrk(value, "xXeE.") == NULL);
    if (*value == '\0' || *end != '\0' || errno != 0 || !whole ||
        !(number >= entry->low && number <= entry->high))
        return base_fail(error, BASE_ERR_ARGUMENT, "%s is \"%s\": must be %s of %.15g to %.15g", from, value,
                         entry->kind == OPTION_COUNT ? "a whole number" : "a number", entry->low,
                         entry->high);
    *ret = number;
    return BASE_OK;
}

static enum base_status check_word(const struct option_entry *entry, const char *value, const char *from,
                                   struct base_error *error)
{
    char allowed[256] = "";
    size_t used = 0;
    for (const char *const *word = entry->words; word != NULL && *word != NULL; word++) {
        if (strcmp(*word, value) == 0)
            return BASE_OK;
        if (used < sizeof allowed)
            used += (size_t)snprintf(allowed + used, sizeof allowed - used, "%s%s", *word,
                                     word[1] == NULL ? "" : word[2] == NULL ? " or " : ", ");
    }
    if (entry->words == NULL)
        return BASE_OK;
    return base_fail(error, BASE_ERR_ARGUMENT, "%s is \"%.80s\": must be %s", from, value, allowed);
}

static enum base_status set(const struct option_entry *entry, const char *value, const char *from,
                            struct base_error *error)
{
    double number = 0;
    enum base_status status = BASE_OK;
    if (entry->kind == OPTION_COUNT || entry->kind == OPTION_REAL)
        TRY(read_number(entry, value, from, &number, error));
    switch (entry->kind) {
    case OPTION_TEXT:
    case OPTION_WORD:
        TRY_THAT(*value != '\0', error, BASE_ERR_ARGUMENT, "%s is empty: give a value", from);
        TRY(check_word(entry, value, from, error));
        *(const char **)entry->target = value;
        break;
    case OPTION_COUNT:
        *(uint64_t *)entry->target = strtoull(value, NULL, 10);
        break;
    case OPTION_REAL:
        *(double *)entry->target = number;
        break;
    case OPTION_FLAG:
        TRY_THAT(value == NULL || strcmp(value, "0") == 0 || strcmp(value, "1") == 0, error,
                 BASE_ERR_ARGUMENT, "%s is \"%s\": must be 0 or 1", from, value);
        *(bool *)entry->target = value == NULL || *value == '1';
        break;
    }
out:
    return status;
}

static error_t parse_one(int key, char *value, struct argp_state *state)
{
    struct parse *p = state->input;
    char from[80];
    if (key == HELP_KEY) {
        argp_state_help(state, stdout, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK);
        p->done = true;
        return ECANCELED;
    }
    if (key == ARGP_KEY_ARG) {
        for (size_t i = 0; p->entries[i].name != NULL; i++)
            if (p->entries[i].kind == OPTION_WORD && !p->given[i]) {
                p->given[i] = true;
                p->status = set(&p->entries[i], value, p->entries[i].value, p->error);
                return p->status == BASE_OK ? 0 : EINVAL;
            }
        p->status = base_fail(p->error, BASE_ERR_ARGUMENT,
                              "\"%.200s\" is no flag: flags start with --; see --help", value);
        return EINVAL;
    }
    if (key < FIRST_KEY || key >= FIRST_KEY + MAX_OPTIONS)
        return ARGP_ERR_UNKNOWN;
    const struct option_entry *entry = &p->entries[key - FIRST_KEY];
    p->given[key - FIRST_KEY] = true;
    (void)snprintf(from, sizeof from, "--%s", entry->name);
    p->status = set(entry, value, from, p->error);
    return p->status == BASE_OK ? 0 : EINVAL;
}

void options_variable(const char *name, char ret[OPTION_VARIABLE])
{
    size_t at = (size_t)snprintf(ret, OPTION_VARIABLE, "CACHET_");
    for (const char *c = name; *c != '\0' && at + 1 < OPTION_VARIABLE; c++)
        ret[at++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
    ret[at] = '\0';
}

static enum base_status read_environment(struct parse *p)
{
    enum base_status status = BASE_OK;
    for (size_t i = 0; p->entries[i].name != NULL; i++) {
        char name[OPTION_VARIABLE];
        if (p->entries[i].kind == OPTION_WORD)
            continue;
        options_variable(p->entries[i].name, name);
        const char *value = getenv(name);
        if (value == NULL)
            continue;
        TRY(set(&p->entries[i], value, name, p->error));
        p->given[i] = true;
    }
out:
    return status;
}

/* A flag that argp does not know, as it wrote it: "unrecognized option '--FLAG=VALUE'". The value is left out, as it
 * may be a prompt. */
static enum base_status refuse_flag(struct parse *p, const char *written)
{
    char flag[BASE_TEXT_NAME];
    (void)snprintf(flag, sizeof flag, "%.*s", (int)strcspn(written, "='"), written);
    struct base_text_guess guess = {.given = flag};
    for (size_t i = 0; p->entries[i].name != NULL; i++)
        if (p->entries[i].kind != OPTION_WORD)
            base_text_offer(&guess, p->entries[i].name);
    if (guess.nearest == NULL)
        return base_fail(p->error, BASE_ERR_ARGUMENT, "there is no flag --%s: see --help", flag);
    return base_fail(p->error, BASE_ERR_ARGUMENT, "there is no flag --%s: did you mean --%s? See --help", flag,
                     guess.nearest);
}

/* argp names a flag that it does not know on its own stream: its text becomes the error. */
static enum base_status run_argp(const struct argp *argp, int argc, char **argv, struct parse *p)
{
    char *text = NULL;
    size_t size = 0;
    FILE *sink = open_memstream(&text, &size);
    if (sink == NULL)
        return base_fail(p->error, BASE_ERR_MEMORY, "cannot allocate the text of an error");
    FILE *before = stderr;
    stderr = sink;
    error_t failed = argp_parse(argp, argc, argv, ARGP_NO_HELP | ARGP_NO_EXIT | ARGP_IN_ORDER, NULL, p);
    stderr = before;
    (void)fclose(sink);
    if (failed != 0 && p->status == BASE_OK && !p->done) {
        char *colon = strstr(text, ": "), *line = strchr(text, '\n'), *unknown = strstr(text, "unrecognized option '--");
        if (line != NULL)
            *line = '\0';
        p->status = unknown != NULL ? refuse_flag(p, strchr(unknown, '-') + 2)
                                    : base_fail(p->error, BASE_ERR_ARGUMENT, "%s: see --help",
                                                colon != NULL ? colon + 2 : "bad flags");
    }
    free(text);
    return p->status;
}

/* "COMMAND [SHELL]": what stands on the command line without dashes. */
static void write_words(const struct option_entry *entries, char *ret, size_t room)
{
    size_t used = 0;
    ret[0] = '\0';
    for (; entries->name != NULL; entries++)
        if (entries->kind == OPTION_WORD && used < room)
            used += (size_t)snprintf(ret + used, room - used, "%s%s%s%s", used > 0 ? " " : "",
                                     entries->required ? "" : "[", entries->value, entries->required ? "" : "]");
}

static enum base_status check_required(const struct parse *p)
{
    enum base_status status = BASE_OK;
    for (const struct option_entry *e = p->entries; e->name != NULL; e++)
        TRY_THAT(!e->required || p->given[e - p->entries], p->error, BASE_ERR_ARGUMENT, "%s%s is missing: %s",
                 e->kind == OPTION_WORD ? "" : "--", e->kind == OPTION_WORD ? e->value : e->name, e->help);
out:
    return status;
}

enum base_status options_parse(int argc, char **argv, const char *summary, const char *more,
                               const struct option_entry *entries, bool *ret_done, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct argp_option options[MAX_OPTIONS + 2] = {{0}};
    struct parse p = {.entries = entries, .error = error};
    char text[4096], words[256];
    size_t n = 0, flags = 0;
    if (argc == 2 && strncmp(argv[1], OPTIONS_DESCRIBE, sizeof OPTIONS_DESCRIBE - 1) == 0) {
        const struct options_page page = {argv[0], summary, more, entries};
        *ret_done = true;
        return options_page_print(stdout, argv[1] + sizeof OPTIONS_DESCRIBE - 1, &page, error);
    }
    for (; entries[n].name != NULL; n++) {
        if (n == MAX_OPTIONS)
            return base_fail(error, BASE_ERR_INTERNAL, "a command has more than %d flags", MAX_OPTIONS);
        if (entries[n].kind != OPTION_WORD)
            options[flags++] = (struct argp_option){.name = entries[n].name,
                                                    .key = FIRST_KEY + (int)n,
                                                    .arg = entries[n].value,
                                                    .doc = entries[n].help};
    }
    options[flags] = (struct argp_option){.name = "help", .key = HELP_KEY, .doc = "this page"};
    (void)snprintf(text, sizeof text, "%s\v%s%s" OPTIONS_VARIABLES, summary, more == NULL ? "" : more,
                   more == NULL ? "" : "\n");
    write_words(entries, words, sizeof words);
    struct argp argp = {.options = options, .parser = parse_one, .doc = text, .args_doc = words[0] == '\0' ? NULL : words};
    TRY(read_environment(&p));
    TRY(run_argp(&argp, argc, argv, &p));
    *ret_done = p.done;
    if (!p.done)
        TRY(check_required(&p));
out:
    return status;
}

char *options_next_part(char **list)
{
    char *part = *list;
    if (part == NULL)
        return NULL;
    *list = strchr(part, ',');
    if (*list != NULL)
        *(*list)++ = '\0';
    return part;
}

enum base_status options_read_numbers(const char *flag, const char *list, struct option_numbers allowed, size_t *ret,
                                      size_t *ret_count, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char copy[4096], *rest = copy, *part, *end;
    TRY_THAT(strlen(list) < sizeof copy, error, BASE_ERR_ARGUMENT, "--%s is longer than %zu letters", flag,
             sizeof copy - 1);
    (void)snprintf(copy, sizeof copy, "%s", list);
    while ((part = options_next_part(&rest)) != NULL) {
        size_t value = strtoul(part, &end, 10);
        TRY_THAT(*part >= '0' && *part <= '9' && *end == '\0' && value >= allowed.low && value <= allowed.high &&
                     *ret_count < allowed.most,
                 error, BASE_ERR_ARGUMENT, "--%s: \"%.20s\" must be a whole number of %zu to %zu, %zu of them at most",
                 flag, part, allowed.low, allowed.high, allowed.most);
        ret[(*ret_count)++] = value;
    }
out:
    return status;
}
