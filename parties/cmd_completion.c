/* cachet completion: what a shell needs to complete commands and flags, from the tables that --help is printed from. */
#include "parties/command.h"
#include "parties/options.h"
#include "parties/options_pages.h"

#include <stdio.h>
#include <string.h>

struct shell {
    const char *name;
    void (*begin)(void);
    const char *end;
};

static void print_names(void)
{
    for (const struct command *const *command = command_list(); *command != NULL; command++)
        (void)printf("%s%s", command == command_list() ? "" : " ", (*command)->name);
}

static void begin_bash(void)
{
    (void)printf("# bash completion of cachet: source it, or put it into /usr/share/bash-completion/completions/cachet\n"
                 "_cachet() {\n"
                 "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
                 "    local commands=\"");
    print_names();
    (void)printf("\" flags='' paths='' values='' words='' plain=''\n"
                 "    COMPREPLY=()\n"
                 "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                 "        mapfile -t COMPREPLY < <(compgen -W \"$commands --help --version\" -- \"$current\")\n"
                 "        return\n"
                 "    fi\n"
                 "    case ${COMP_WORDS[1]} in\n");
}

static const char end_bash[] =
    "    esac\n"
    "    if [ -n \"$words\" ]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
    "    elif [[ $paths = *\" $before \"* ]]; then\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
    "    elif [[ $values != *\" $before \"* ]]; then\n"
    "        case $current in\n"
    "        -*) mapfile -t COMPREPLY < <(compgen -W \"$flags\" -- \"$current\") ;;\n"
    "        *) mapfile -t COMPREPLY < <(compgen -W \"$plain $flags\" -- \"$current\") ;;\n"
    "        esac\n"
    "    fi\n"
    "}\n"
    "complete -F _cachet cachet\n";

static void begin_zsh(void)
{
    (void)puts("#compdef cachet\n# zsh completion of cachet: as _cachet in a directory of $fpath\n_cachet() {\n"
               "    local -a commands\n    local names curcontext=$curcontext\n    commands=(");
    for (const struct command *const *command = command_list(); *command != NULL; command++) {
        (void)printf("        '%s:'", (*command)->name);
        options_print_quoted(stdout, (*command)->summary, true);
        (void)putchar('\n');
    }
    (void)printf("    )\n    names='");
    print_names();
    (void)printf("'\n    if (( CURRENT == 2 )); then\n        _describe command commands\n        return\n    fi\n"
                 "    shift words\n    (( CURRENT-- ))\n    case $words[1] in\n");
}

static const char end_zsh[] = "    esac\n}\nif [ \"$funcstack[1]\" = _cachet ]; then\n    _cachet \"$@\"\nelse\n"
                              "    compdef _cachet cachet\nfi\n";

static void begin_fish(void)
{
    (void)printf("# fish completion of cachet: as cachet.fish in a directory of $fish_complete_path\nset -g __cachet_commands ");
    print_names();
    (void)puts("\ncomplete -c cachet -f\n"
               "complete -c cachet -n \"not __fish_seen_subcommand_from $__cachet_commands\" -l help -d 'the commands'\n"
               "complete -c cachet -n \"not __fish_seen_subcommand_from $__cachet_commands\" -l version -d 'the version'");
    for (const struct command *const *command = command_list(); *command != NULL; command++) {
        (void)printf("complete -c cachet -n \"not __fish_seen_subcommand_from $__cachet_commands\" -a %s -d ",
                     (*command)->name);
        options_print_quoted(stdout, (*command)->summary, false);
        (void)putchar('\n');
    }
}

static const struct shell shells[] = {
    {"bash", begin_bash, end_bash}, {"zsh", begin_zsh, end_zsh}, {"fish", begin_fish, ""}};

static enum base_status print_script(const struct shell *shell, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char name[64], describe[32];
    (void)snprintf(describe, sizeof describe, OPTIONS_DESCRIBE "%s", shell->name);
    shell->begin();
    for (const struct command *const *command = command_list(); *command != NULL; command++) {
        (void)snprintf(name, sizeof name, "cachet %s", (*command)->name);
        char *argv[] = {name, describe, NULL};
        TRY((*command)->run(2, argv, error));
    }
    (void)fputs(shell->end, stdout);
out:
    return status;
}

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    static const char *const names[] = {"bash", "zsh", "fish", NULL};
    const char *name = NULL;
    bool done = false;
    const struct option_entry options[] = {
        {.name = "shell",
         .value = "SHELL",
         .help = "bash, zsh or fish",
         .kind = OPTION_WORD,
         .target = &name,
         .required = true,
         .words = names},
        OPTION_END};
    TRY(options_parse(argc, argv, "Prints what a shell needs to complete commands and flags.",
                      "For this shell: source <(cachet completion bash)", options, &done, error));
    for (size_t i = 0; !done && i < sizeof shells / sizeof *shells; i++)
        if (strcmp(name, shells[i].name) == 0)
            TRY(print_script(&shells[i], error));
out:
    return status;
}

const struct command command_completion = {"completion", "what bash, zsh or fish needs to complete command lines", run, false};
