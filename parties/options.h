/* One table per command drives its flags, their environment variables, its --help page (argp underneath), its man
 * page and what shells complete. */
#ifndef CACHET_PARTIES_OPTIONS_H
#define CACHET_PARTIES_OPTIONS_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* OPTION_WORD stands for itself, without dashes, and has no environment variable: the n-th such word fills the
 * n-th such entry. */
enum option_kind { OPTION_TEXT, OPTION_COUNT, OPTION_REAL, OPTION_FLAG, OPTION_WORD };

/* Flag --name VALUE, or environment variable CACHET_NAME (dashes become underscores); the flag wins. */
struct option_entry {
    const char *name;
    const char *value; /* what --help calls the value; NULL for a flag */
    const char *help;
    enum option_kind kind;
    void *target;     /* const char **, uint64_t *, double *, bool * */
    double low, high; /* of numbers */
    bool required;
    const char *const *words; /* texts and words: the only values, NULL at the end; NULL: any */
};
#define OPTION_END                                                                                           \
    {                                                                                                        \
        .name = NULL                                                                                         \
    }

/* clang-format off */
/* Flags that several commands have: the model owner's model; the widths of a plan that is made. */
#define OPTION_MODEL(path) {.name = "model", .value = "PATH", .help = "model directory (Hugging Face), .gguf or llama2.c file", .target = (path)}
#define OPTIONS_SHAPE(input) \
    {.name = "layers", .value = "N", .help = "shapes: the first N layers alone", .kind = OPTION_COUNT, .target = &(input)->layers, .low = 1, .high = 1024}, \
    {.name = "one-layer", .help = "shapes: every layer has the weights of one, where memory is short", .kind = OPTION_FLAG, .target = &(input)->one_layer}
#define OPTIONS_WIDTHS(options) \
    {.name = "general", .help = "general gates, even where the ranges of a layer allow the cheap ones", \
     .kind = OPTION_FLAG, .target = &(options)->general}, \
    {.name = "thin", .help = "general attention: wider exp cells, fewer dealt bytes, one round more per layer", \
     .kind = OPTION_FLAG, .target = &(options)->thin}, \
    {.name = "fold", .help = "general attention: normalise before it when decoding, too: 17 rounds, fewer bytes per cached row", \
     .kind = OPTION_FLAG, .target = &(options)->fold}
/* clang-format on */

/* Parses the arguments after the command's name, argv[0] being "cachet NAME". `summary` is one sentence, `more`
 * further help text or NULL. *ret_done is set when --help was printed, or a page: an only argument
 * --describe=FORMAT asks for one of those in options_pages.h, so that man pages and completions cannot
 * differ from the flags. Errors: BASE_ERR_ARGUMENT naming the flag, its value and what it allows. */
BASE_MUST_USE enum base_status options_parse(int argc, char **argv, const char *summary, const char *more,
                                             const struct option_entry *entries, bool *ret_done,
                                             struct base_error *error);

/* "CACHET_SOME_FLAG" of "some-flag". */
enum { OPTION_VARIABLE = 80 };
void options_variable(const char *name, char ret[OPTION_VARIABLE]);

/* A list of whole numbers with commas between them: at most `most`, each from low to high. *ret_count grows from what it is. Errors:
 * BASE_ERR_ARGUMENT naming flag and part. */
struct option_numbers {
    size_t low, high, most;
};
BASE_MUST_USE enum base_status options_read_numbers(const char *flag, const char *list, struct option_numbers allowed, size_t *ret,
                                                    size_t *ret_count, struct base_error *error);

/* The next part of a list with commas, which become ends; *list NULL: none is left. */
char *options_next_part(char **list);

#endif
