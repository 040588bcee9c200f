/* cachet keygen: a key pair in a file, and the line for the shared config. */
#include "net/keys.h"
#include "parties/command.h"
#include "parties/options.h"

#include <jansson.h>
#include <stdio.h>

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const char *out = NULL;
    bool json = false, done = false;
    struct net_key key = {0};
    char text[NET_KEY_TEXT];
    const struct option_entry options[] = {
        {.name = "out",
         .value = "FILE",
         .help = "new file for the key pair (mode 0600)",
         .target = &out,
         .required = true},
        {.name = "json", .help = "print an object instead of a line", .kind = OPTION_FLAG, .target = &json},
        OPTION_END};
    TRY(options_parse(
        argc, argv,
        "Makes a key pair. The file stays with its owner; the printed line goes into the shared config.",
        NULL, options, &done, error));
    if (done)
        return BASE_OK;
    TRY(net_key_generate(&key, error));
    TRY(net_key_save(&key, out, error));
    net_key_write_text(key.public_key, text);
    if (json) {
        json_t *root = json_pack("{s:s, s:s}", "file", out, "key", text);
        (void)json_dumpf(root, stdout, 0);
        (void)putchar('\n');
        json_decref(root);
    } else {
        /* Z85 holds #, : and braces, but neither quote nor backslash. */
        (void)printf("key: \"%s\"\n", text);
    }
out:
    net_key_finish(&key);
    return status;
}

const struct command command_keygen = {"keygen", "a key pair, and its line for the shared config", run,
                                       false};
