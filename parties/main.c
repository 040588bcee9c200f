/* cachet: private LLM inference on secret shares. */
#include "base/text.h"
#include "engine/formats/json_memory.h"
#include "parties/command.h"
#include "parties/version.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

static const struct command *const commands[] = {&command_up,    &command_generate, &command_keygen,
                                                 &command_plan,  &command_share,    &command_party,
                                                 &command_prepare, &command_check, &command_cost, &command_eval,
                                                 &command_serve, &command_bench, &command_relay,
                                                 &command_config, &command_man, &command_completion,
                                                 NULL};

const struct command *const *command_list(void)
{
    return commands;
}

enum base_status command_find(const char *name, const struct command **ret, struct base_error *error)
{
    struct base_text_guess guess = {.given = name};
    for (const struct command *const *command = commands; *command != NULL; command++) {
        if (strcmp(name, (*command)->name) == 0) {
            *ret = *command;
            return BASE_OK;
        }
        base_text_offer(&guess, (*command)->name);
    }
    if (guess.nearest == NULL)
        return base_fail(error, BASE_ERR_ARGUMENT, "there is no command \"%.40s\": usage: cachet COMMAND [--FLAG VALUE ...]; cachet --help lists them",
                         name);
    return base_fail(error, BASE_ERR_ARGUMENT, "there is no command \"%.40s\": did you mean \"%s\"?", name, guess.nearest);
}

static void print_help(FILE *out)
{
    (void)fprintf(
        out,
        "cachet %s: private LLM inference on secret shares\n\nusage: cachet COMMAND [--FLAG VALUE ...]\n\n",
        CACHET_VERSION);
    for (const struct command *const *command = commands; *command != NULL; command++)
        (void)fprintf(out, "  %-10s %s\n", (*command)->name, (*command)->summary);
    (void)fprintf(out, "\ncachet COMMAND --help lists the flags of a command. Exit codes: 0 good; 2 bad "
                       "request, 3 memory, 4 file access, 5 file\n"
                       "content, 6 not supported, 7 out of range, 8 peer broke the protocol, 9 mismatch, 10 "
                       "timeout, 11 peer gone or stopped,\n"
                       "12 internal.\n");
}

static void print_error(const char *command, enum base_status status, struct base_error *error)
{
    /* Names of files and texts in them come from others: they must not forge a line or drive a terminal. */
    for (char *c = error->text; *c != '\0'; c++)
        if (base_text_is_control(*c))
            *c = '?';
    (void)fprintf(stderr, "cachet%s%s: error (%s): %s\n", *command == '\0' ? "" : " ", command, base_status_name(status),
                  error->text);
}

static int run_command(const struct command *command, int argc, char **argv)
{
    struct base_error error = {0};
    char name[64];
    (void)snprintf(name, sizeof name, "cachet %s", command->name);
    argv[1] = name;
    if (command->ends_in_order)
        command_catch_signals();
    command_watch_files(command->name);
    eng_json_watch();
    enum base_status status = command->run(argc - 1, argv + 1, &error);
    /* Built since this thread last read any. */
    if (status == BASE_OK)
        status = eng_json_check_memory("a report that may lack parts", &error);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == BASE_OK)
        status = base_fail(&error, BASE_ERR_IO, "cannot write to standard output: %s", strerror(errno));
    if (status != BASE_OK)
        print_error(command->name, status, &error);
    return base_status_exit_code(status);
}

int main(int argc, char **argv)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    /* Shares and keys must not reach a core dump or a debugger of another user. */
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0) {
        (void)fprintf(stderr, "cachet: libsodium cannot start\n");
        return base_status_exit_code(BASE_ERR_INTERNAL);
    }
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        (void)printf("cachet %s\n", CACHET_VERSION);
        return 0;
    }
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        print_help(stdout);
        return 0;
    }
    if (argc < 2) {
        print_help(stderr);
        return base_status_exit_code(BASE_ERR_ARGUMENT);
    }
    const struct command *command;
    struct base_error error = {0};
    if (command_find(argv[1], &command, &error) == BASE_OK)
        return run_command(command, argc, argv);
    print_error("", error.code, &error);
    return base_status_exit_code(error.code);
}
