#include "parties/gnuplot.h"

#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENDING = 4, COLOURS = 8, NO_PROGRAM = 127 };

/* Okabe and Ito's colours, which colour-blind readers tell apart; black is the first. */
static const char *const colours[COLOURS] = {"000000", "0072b2", "d55e00", "009e73",
                                             "cc79a7", "56b4e9", "e69f00", "777777"};
/* gnuplot's filled and open marks; another one for each colour, and others in the second round of colours. */
static const int marks[] = {7, 5, 9, 11, 13, 4, 6, 8, 10, 12, 1, 2, 3};

/* --- parts of scripts ---------------------------------------------------------------------------------- */

void gnuplot_quote(FILE *script, const char *text)
{
    (void)fputc('\'', script);
    for (const char *c = text; *c != '\0'; c++)
        (void)fprintf(script, "%c%s", *c, *c == '\'' ? "'" : "");
    (void)fputc('\'', script);
}

void gnuplot_head(FILE *script, const char *path, size_t width, size_t height)
{
    bool svg = strcmp(path + strlen(path) - ENDING, ".svg") == 0;
    (void)fprintf(script, "set terminal %s noenhanced size %zu, %zu font 'Helvetica,%d' background rgb 'white'\n",
                  svg ? "svg" : "pngcairo", width, height, svg ? 13 : 10);
    (void)fprintf(script, "set output ");
    gnuplot_quote(script, path);
    (void)fputc('\n', script);
}

void gnuplot_curve_style(FILE *script, size_t curve)
{
    size_t round = curve / COLOURS, mark = (curve + 3 * round) % (sizeof marks / sizeof *marks);
    (void)fprintf(script, "lc rgb '#%s' lw 1.6 pt %d ps 0.9 dt %zu", gnuplot_colour(curve), marks[mark], round + 1);
}

const char *gnuplot_colour(size_t curve)
{
    return colours[curve % COLOURS];
}

/* --- running ------------------------------------------------------------------------------------------- */

enum base_status gnuplot_check_path(const char *flag, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t length = strlen(path);
    const char *ending = path + (length < ENDING ? length : length - ENDING);
    TRY_THAT(length > ENDING && (strcmp(ending, ".svg") == 0 || strcmp(ending, ".png") == 0), error,
             BASE_ERR_ARGUMENT, "%s \"%.200s\" must be a file that ends in .svg or .png", flag, path);
    for (size_t at = 0, n; at < length; at += n) {
        n = base_text_printable(path + at, length - at);
        TRY_THAT(n > 0, error, BASE_ERR_ARGUMENT, "%s: its path must be printable text", flag);
    }
out:
    return status;
}

enum base_status gnuplot_begin(struct gnuplot_script *ret, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct gnuplot_script script = {0};
    TRY_THAT(strlen(path) < sizeof script.picture, error, BASE_ERR_ARGUMENT, "the path of a picture is too long");
    (void)snprintf(script.picture, sizeof script.picture, "%s", path);
    *ret = script;
    ret->text = open_memstream(&ret->buffer, &ret->size);
    TRY_THAT(ret->text != NULL, error, BASE_ERR_MEMORY, "%s: cannot allocate its script", path);
out:
    return status;
}

/* No shell: a path is a path. One that begins with a dash is no option. */
static enum base_status run_gnuplot(const char *script, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    int result = 0;
    pid_t pid = fork();
    TRY_THAT(pid >= 0, error, BASE_ERR_MEMORY, "cannot start a process for gnuplot: %s", strerror(errno));
    if (pid == 0) {
        int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
            (void)dup2(nowhere, fd);
        (void)execlp("gnuplot", "gnuplot", script, (char *)NULL);
        _exit(NO_PROGRAM);
    }
    while (waitpid(pid, &result, 0) < 0 && errno == EINTR)
        continue;
    TRY_THAT(!WIFEXITED(result) || WEXITSTATUS(result) != NO_PROGRAM, error, BASE_ERR_SUPPORT,
             "gnuplot, which draws %s, is not installed: install it (Debian: apt install gnuplot-nox) and "
             "run `gnuplot %s`",
             path, script);
    TRY_THAT(WIFEXITED(result) && WEXITSTATUS(result) == 0, error, BASE_ERR_SUPPORT,
             "gnuplot could not draw %s: run `gnuplot %s` to see why", path, script);
out:
    return status;
}

enum base_status gnuplot_draw(struct gnuplot_script *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char path[sizeof s->picture + 2];
    int failed = fclose(s->text);
    s->text = NULL;
    TRY_THAT(failed == 0, error, BASE_ERR_MEMORY, "%s: cannot allocate its script", s->picture);
    (void)snprintf(path, sizeof path, "%s%.*s.gp", s->picture[0] == '-' ? "./" : "",
                   (int)strlen(s->picture) - ENDING, s->picture);
    TRY(base_file_replace(path, s->buffer, s->size, error));
    TRY(run_gnuplot(path, s->picture, error));
out:
    return status;
}

void gnuplot_discard(struct gnuplot_script *s)
{
    if (s->text != NULL)
        (void)fclose(s->text);
    free(s->buffer);
    *s = (struct gnuplot_script){0};
}
