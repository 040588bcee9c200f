/* cachet relay: carries connections over links with a delay and a bandwidth. */
#include "bench/relay.h"
#include "parties/command.h"
#include "parties/options.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ADDRESS = RELAY_HOST + 10 };

static void report_table(const struct relay *relay, const struct relay_form *form, const char *link)
{
    (void)printf("link %s\n%-24s %-24s %11s %7s %14s %14s\n", link, "listen", "to", "connections", "failed",
                 "bytes to", "bytes back");
    for (size_t i = 0; i < form->map_count; i++) {
        char listen[ADDRESS], to[ADDRESS];
        struct relay_total total = relay_total(relay, i);
        relay_end_print(&form->maps[i].listen, listen);
        relay_end_print(&form->maps[i].to, to);
        (void)printf("%-24s %-24s %11llu %7llu %14llu %14llu\n", listen, to,
                     (unsigned long long)total.connections, (unsigned long long)total.failed,
                     (unsigned long long)total.bytes[0], (unsigned long long)total.bytes[1]);
    }
}

static void report_json(const struct relay *relay, const struct relay_form *form, const char *link)
{
    json_t *maps = json_array();
    for (size_t i = 0; i < form->map_count; i++) {
        char listen[ADDRESS], to[ADDRESS];
        struct relay_total total = relay_total(relay, i);
        relay_end_print(&form->maps[i].listen, listen);
        relay_end_print(&form->maps[i].to, to);
        (void)json_array_append_new(maps, json_pack("{s:s, s:s, s:I, s:I, s:[I, I]}", "listen", listen, "to",
                                                    to, "connections", (json_int_t)total.connections,
                                                    "failed", (json_int_t)total.failed, "bytes",
                                                    (json_int_t)total.bytes[0], (json_int_t)total.bytes[1]));
    }
    json_t *root = json_pack("{s:s, s:o}", "link", link, "maps", maps);
    (void)json_dumpf(root, stdout, JSON_INDENT(1));
    (void)putchar('\n');
    json_decref(root);
}

static enum base_status carry(const struct relay_form *form, bool until_eof, bool json,
                              struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct relay *relay = NULL;
    char link[RELAY_LINK_TEXT];
    TRY(relay_create(&relay, form, error));
    (void)puts("ready");
    (void)fflush(stdout);
    TRY(relay_run(relay, until_eof ? STDIN_FILENO : -1, command_stopped, NULL, error));
    relay_link_print(&form->link, link);
    (json ? report_json : report_table)(relay, form, link);
out:
    relay_destroy(&relay);
    return status;
}

static void print_presets(char *ret, size_t size)
{
    size_t at =
        (size_t)snprintf(ret, size,
                         "LINK is a preset, or KEY=VALUE:... of rtt (both directions together, "
                         "milliseconds), jitter (+- milliseconds), mbit, and the same with back- for the "
                         "direction back to the one that connected. Without mbit there is no limit. "
                         "Each connection has links of its own. The presets:\n");
    for (size_t i = 0; relay_preset_at(i) != NULL && at < size; i++) {
        char text[RELAY_LINK_TEXT];
        relay_link_print(&relay_preset_at(i)->link, text);
        at += (size_t)snprintf(ret + at, size - at, "  %-10s %s\n", relay_preset_at(i)->name,
                               strcmp(text, "loopback") == 0 ? "nothing added" : text);
    }
}

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const char *link = NULL, *map = NULL;
    bool json = false, until_eof = false, done = false;
    double patience = 10;
    struct relay_map maps[RELAY_MAPS_MOST];
    struct relay_form form = {.maps = maps, .talk = stderr, .seed = 1};
    char presets[1200];
    const struct option_entry options[] = {
        {.name = "link",
         .value = "LINK",
         .help = "what each connection's two directions are like, as lan, wan or rtt=40:mbit=100:jitter=2",
         .target = &link,
         .required = true},
        {.name = "map",
         .value = "HOST:PORT=HOST:PORT[,...]",
         .help = "where to listen, and where connections go",
         .target = &map,
         .required = true},
        {.name = "patience",
         .value = "SECONDS",
         .help = "how long a connection is kept whose target takes none yet (default 10)",
         .kind = OPTION_REAL,
         .target = &patience,
         .low = 0,
         .high = 3600},
        {.name = "until-eof",
         .help = "end when standard input, a pipe, ends: with the process that holds it",
         .kind = OPTION_FLAG,
         .target = &until_eof},
        {.name = "json", .help = "print an object instead of a table", .kind = OPTION_FLAG, .target = &json},
        OPTION_END};
    print_presets(presets, sizeof presets);
    TRY(options_parse(
        argc, argv,
        "Carries TCP connections over links with a delay and a bandwidth. Prints \"ready\" when "
        "all maps listen, and what it carried when it is asked to stop.",
        presets, options, &done, error));
    if (done)
        return BASE_OK;
    TRY(relay_link_parse(link, &form.link, error));
    TRY(relay_map_parse(map, maps, &form.map_count, error));
    form.patience_ms = patience * 1e3;
    TRY(carry(&form, until_eof, json, error));
out:
    return status;
}

const struct command command_relay = {"relay", "connections over links with a delay and a bandwidth", run,
                                      true};
