/* cachet party: runs one party; which one follows from its key. */
#include "base/memory.h"
#include "kernels/threads.h"
#include "parties/command.h"
#include "parties/node.h"
#include "parties/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Threads that wait for work must sleep: where parties share a machine, spinning ones keep each other from the cores (measured: tokens that take
 * forty times as long). OpenMP reads that when it is loaded, so the program starts once more; where it cannot, one thread works. */
static void let_threads_sleep(int argc, char **argv, uint64_t *threads)
{
    enum { MOST = 128 };
    char *again[MOST] = {"cachet", "party"};
    if (*threads == 0)
        *threads = (uint64_t)kern_cores();
    if (*threads == 1 || getenv("OMP_WAIT_POLICY") != NULL)
        return;
    if (argc + 2 <= MOST && setenv("OMP_WAIT_POLICY", "passive", 1) == 0) {
        for (int i = 1; i < argc; i++)
            again[i + 1] = argv[i];
        (void)execv("/proc/self/exe", again);
    }
    *threads = 1;
}

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct node_options node_options = {0};
    const char *level = "info";
    bool json = false, once = false, done = false;
    struct node *node = NULL;
    const struct option_entry options[] = {
        {.name = "config",
         .value = "FILE",
         .help = "the config that all parties and clients share",
         .target = &node_options.config,
         .required = true},
        {.name = "key",
         .value = "FILE",
         .help = "this party's key pair, from keygen",
         .target = &node_options.key,
         .required = true},
        {.name = "shares",
         .value = "DIR",
         .help = "this party's share directory, from share",
         .target = &node_options.shares,
         .required = true},
        {.name = "bind",
         .value = "HOST",
         .help = "address to listen on, when it is not the one in the config (\"*\": every address)",
         .target = &node_options.bind},
        {.name = "log-level",
         .value = "LEVEL",
         .help = "error, warning, info or debug (default info)",
         .target = &level},
        {.name = "json", .help = "log as JSON, one object per line", .kind = OPTION_FLAG, .target = &json},
        {.name = "made-up-rows",
         .help = "take requests that begin with made-up cached rows: for benchmarks of what comes after a long prompt",
         .kind = OPTION_FLAG,
         .target = &node_options.made_up_rows},
        {.name = "threads",
         .value = "N",
         .help = "threads that share the rows of a product (default: one for each core of this process)",
         .kind = OPTION_COUNT,
         .target = &node_options.threads,
         .low = 1,
         .high = 1024},
        {.name = "kernels",
         .value = "LEVEL",
         .help = "scalar, avx2, vaes or avx512: no faster instructions than these (default: the best of this processor)",
         .target = &node_options.kernels},
        {.name = "device",
         .value = "NAME",
         .help = "cuda:N: weights, caches and large calls of the kernels go to this GPU, cuda:0 the first one",
         .target = &node_options.device.name},
        {.name = "device-fallback",
         .help = "go on on the CPU where the device is missing, too small or fails (default: end, and say why)",
         .kind = OPTION_FLAG,
         .target = &node_options.device.fallback},
        {.name = "spool",
         .value = "DIR",
         .help = "mode two-party: this party's own folder for material made ahead of use (cachet prepare); made where there is none",
         .target = &node_options.spool},
        {.name = "time-kernels",
         .help = "measure how long slots of the kernel table take, and report it to the client: for benchmarks",
         .kind = OPTION_FLAG,
         .target = &node_options.time_kernels},
        {.name = "once", .help = "end after one request", .kind = OPTION_FLAG, .target = &once},
        OPTION_END};
    TRY(options_parse(argc, argv,
                      "Runs one party and answers requests until it is stopped. Logs go to stderr.", NULL,
                      options, &done, error));
    if (done)
        return BASE_OK;
    let_threads_sleep(argc, argv, &node_options.threads);
    node_options.log = (struct base_log){.stream = stderr, .json = json, .who = "party"};
    TRY(base_log_level_parse(level, &node_options.log.level, error));
    /* Its streams and keys are in it. */
    TRY(base_alloc_locked(&node, sizeof *node, error));
    TRY(node_open(node, &node_options, error));
    status = node_join(node, error);
    if (status == BASE_OK)
        status = node_serve(node, once, error);
    node_close(node);
out:
    base_free_locked(&node);
    return command_stopped(NULL) && status == BASE_ERR_CLOSED ? BASE_OK : status;
}

const struct command command_party = {"party", "runs one party of a deployment", run, true};
