#include "base/progress.h"

#include "base/clock.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { BAR_WIDTH = 24 };

static const double draw_interval = 0.1;

void base_progress_start_on(struct base_progress *progress, FILE *stream, const char *label, uint64_t total)
{
    *progress = (struct base_progress){
        .stream = stream, .label = label, .total = total, .started = base_clock_seconds()};
}

void base_progress_start(struct base_progress *progress, const char *label, uint64_t total)
{
    base_progress_start_on(progress, isatty(STDERR_FILENO) ? stderr : NULL, label, total);
}

/* "12.3 MB" */
static void write_bytes(char *ret_text, size_t size, uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    int unit = 0;
    while (value >= 1000 && unit < 4) {
        value /= 1000;
        unit++;
    }
    (void)snprintf(ret_text, size, unit == 0 ? " %.0f %s" : " %.1f %s", value, units[unit]);
}

void base_progress_update(struct base_progress *progress, uint64_t done, uint64_t bytes)
{
    char bar[BAR_WIDTH + 1], amount[32] = "", left[48] = "";
    double now = base_clock_seconds();
    if (progress->stream == NULL ||
        (progress->visible && now - progress->shown < draw_interval && done < progress->total))
        return;
    double part = progress->total == 0 ? 1 : (double)done / (double)progress->total;
    part = part > 1 ? 1 : part;
    int filled = (int)(part * BAR_WIDTH);
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)filled);
    bar[BAR_WIDTH] = '\0';
    if (bytes > 0)
        write_bytes(amount, sizeof amount, bytes);
    /* A guess from less than a second of work jumps about. */
    double spent = now - progress->started;
    if (spent > 1 && part > 0 && part < 1)
        (void)snprintf(left, sizeof left, ", %.0f s left", spent / part - spent);
    (void)fprintf(progress->stream, "\r%s [%s] %" PRIu64 "/%" PRIu64 "%s%s\033[K", progress->label, bar, done,
                  progress->total, amount, left);
    (void)fflush(progress->stream);
    progress->shown = now;
    progress->visible = true;
}

void base_progress_finish(struct base_progress *progress)
{
    if (progress->stream != NULL && progress->visible) {
        (void)fputs("\r\033[K", progress->stream);
        (void)fflush(progress->stream);
    }
    progress->stream = NULL;
}
