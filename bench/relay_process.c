#include "bench/relay_process.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_MS = 10000, STOP_MS = 5000, REPORT = 65536 };

static void close_end(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static _Noreturn void become_relay(const char *link, const char *maps, int input, int output, int words)
{
    (void)setpgid(0, 0); /* a Ctrl-C at the terminal goes to the parent, which ends its children in order */
    (void)dup2(input, STDIN_FILENO);
    (void)dup2(output, STDOUT_FILENO);
    (void)dup2(words, STDERR_FILENO);
    /* Ends behind it may read gigabytes before they listen. */
    (void)execl("/proc/self/exe", "cachet", "relay", "--link", link, "--map", maps, "--patience", "600", "--json",
                "--until-eof", (char *)NULL);
    (void)dprintf(STDERR_FILENO, "cannot start the program again: %s\n", strerror(errno));
    _exit(127);
}

/* The first line that it said, which is why it ended. */
static void read_words(const struct relay_process *p, char *ret, size_t size)
{
    ssize_t got = pread(p->words, ret, size - 1, 0);
    ret[got > 0 ? got : 0] = '\0';
    ret[strcspn(ret, "\n")] = '\0';
    if (ret[0] == '\0')
        (void)snprintf(ret, size, "it says nothing");
}

/* Reads its output into `ret` until a line, or all of it, is there. */
static enum base_status read_output(struct relay_process *p, char *ret, bool line, int64_t deadline,
                                    struct base_error *error)
{
    for (size_t at = 0; at + 1 < REPORT;) {
        struct pollfd wait = {.fd = p->output, .events = POLLIN};
        int left = base_deadline_left(deadline, STOP_MS), ready = poll(&wait, 1, left);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0 && left == 0)
            return base_fail(error, BASE_ERR_TIMEOUT, "the relay does not answer");
        if (ready <= 0)
            continue;
        ssize_t got = read(p->output, ret + at, line ? 1 : REPORT - 1 - at);
        if (got < 0)
            return base_fail(error, BASE_ERR_IO, "cannot read from the relay: %s", strerror(errno));
        at += (size_t)got;
        ret[at] = '\0';
        if (got == 0 || (line && ret[at - 1] == '\n'))
            return BASE_OK;
    }
    return base_fail(error, BASE_ERR_INTERNAL, "the relay says more than %d bytes", REPORT);
}

/* Waits for its end, or makes it. */
static void reap(struct relay_process *p, int64_t deadline)
{
    while (p->pid > 0 && waitpid(p->pid, NULL, WNOHANG) == 0) {
        if (base_clock_ms() >= deadline)
            (void)kill(p->pid, SIGKILL);
        base_sleep_ms(5);
    }
    close_end(&p->input);
    close_end(&p->output);
    close_end(&p->words);
    *p = (struct relay_process){0};
}

void relay_process_kill(struct relay_process *p)
{
    if (p->pid > 0)
        reap(p, 0);
}

enum base_status relay_process_start(struct relay_process *ret, const char *link, const char *maps,
                                     struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct relay_process p = {.input = -1, .output = -1, .words = -1};
    struct relay_link unused_link;
    struct relay_map unused_maps[RELAY_MAPS_MOST];
    int input[2] = {-1, -1}, output[2] = {-1, -1};
    char text[REPORT], words[600];
    TRY(relay_link_parse(link, &unused_link, error));
    TRY(relay_map_parse(maps, unused_maps, &p.map_count, error));
    p.words = memfd_create("relay", MFD_CLOEXEC);
    TRY_THAT(p.words >= 0 && pipe2(input, O_CLOEXEC) == 0 && pipe2(output, O_CLOEXEC) == 0, error,
             BASE_ERR_IO, "cannot make pipes to a relay: %s", strerror(errno));
    p.pid = fork();
    TRY_THAT(p.pid >= 0, error, BASE_ERR_MEMORY, "cannot start a process for the relay: %s", strerror(errno));
    if (p.pid == 0)
        become_relay(link, maps, input[0], output[1], p.words);
    close_end(&input[0]);
    close_end(&output[1]);
    p.input = input[1];
    p.output = output[0];
    input[1] = output[0] = -1;
    TRY(read_output(&p, text, true, base_deadline_after(START_MS), error));
    if (strcmp(text, "ready\n") != 0) {
        read_words(&p, words, sizeof words);
        TRY(base_fail(error, BASE_ERR_IO, "the relay does not start: %s", words));
    }
    *ret = p;
out:
    for (int i = 0; i < 2; i++) {
        close_end(&input[i]);
        close_end(&output[i]);
    }
    if (status != BASE_OK)
        reap(&p, 0);
    return status;
}

static enum base_status parse_totals(const char *text, struct relay_total *ret, size_t count,
                                     struct base_error *error)
{
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *maps = json_object_get(root, "maps");
    bool good = json_array_size(maps) == count;
    for (size_t i = 0; good && i < count; i++) {
        json_int_t connections, failed, to, back;
        good = json_unpack(json_array_get(maps, i), "{s:I, s:I, s:[I, I]}", "connections", &connections,
                           "failed", &failed, "bytes", &to, &back) == 0;
        if (good)
            ret[i] = (struct relay_total){.connections = (uint64_t)connections,
                                          .failed = (uint64_t)failed,
                                          .bytes = {(uint64_t)to, (uint64_t)back}};
    }
    json_decref(root);
    return good ? BASE_OK : base_fail(error, BASE_ERR_INTERNAL, "the relay's report cannot be read");
}

enum base_status relay_process_start_before(struct relay_process *process, const char *link,
                                            const struct party_config *config, struct base_error *error)
{
    char maps[64 * RELAY_DEPLOYMENT_MAPS];
    size_t at = 0;
    for (int i = 0; i < RELAY_DEPLOYMENT_MAPS; i++) {
        unsigned port = config->parties[i / PARTY_CONFIG_PORTS].port + (unsigned)(i % PARTY_CONFIG_PORTS);
        at += (size_t)snprintf(maps + at, sizeof maps - at, "%s127.0.0.1:%u=" RELAY_BEHIND ":%u", i == 0 ? "" : ",",
                               port, port);
    }
    return relay_process_start(process, link, maps, error);
}

enum base_status relay_process_stop(struct relay_process *p, struct relay_total *ret_totals,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct relay_total totals[RELAY_MAPS_MOST];
    char text[REPORT] = "", words[600];
    size_t count = p->map_count;
    int64_t deadline = base_deadline_after(STOP_MS);
    TRY_THAT(p->pid > 0, error, BASE_ERR_INTERNAL, "the relay was not started");
    close_end(&p->input);
    TRY(read_output(p, text, false, deadline, error));
    if (text[0] == '\0') {
        read_words(p, words, sizeof words);
        TRY(base_fail(error, BASE_ERR_PEER, "the relay has ended: %s", words));
    }
    TRY(parse_totals(text, totals, count, error));
    if (ret_totals != NULL)
        memcpy(ret_totals, totals, count * sizeof *totals);
out:
    if (p->pid > 0)
        reap(p, deadline);
    return status;
}
