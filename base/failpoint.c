/* What a test build does at its failpoints. Compiled into the test build alone. */
#include "base/failpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STOPPED_SECONDS = 3, BAD_ORDER = 2 };

extern const struct base_failpoint *const __start_cachet_failpoints[], *const __stop_cachet_failpoints[];

/* Sites lie on the thread that owns the links, and files are written by the main thread: the one that reads orders is the one that passes. */
static struct base_failpoint_orders own, *orders = &own;
static struct {
    uint32_t generation;
    char name[BASE_FAILPOINT_TEXT], action[16];
    unsigned long passages; /* to go */
} order;
static enum base_fault armed;

static const char *const fault_names[] = {
    [BASE_FAULT_CUT] = "cut",           [BASE_FAULT_DROP] = "drop",     [BASE_FAULT_DOUBLE] = "double", [BASE_FAULT_SWAP] = "swap",
    [BASE_FAULT_TRUNCATE] = "truncate", [BASE_FAULT_EXTEND] = "extend", [BASE_FAULT_FLIP] = "flip",     [BASE_FAULT_HEADER] = "header"};
static const char *const kind_names[] = {"send", "receive", "write"};

static void refuse(const char *text)
{
    (void)fprintf(stderr, "CACHET_FAILPOINT: \"%s\" is not NAME:N:ACTION with a name of CACHET_FAILPOINT=list\n", text);
    _exit(BAD_ORDER);
}

static enum base_fault fault_of(const char *action)
{
    for (size_t i = BASE_FAULT_CUT; i < sizeof fault_names / sizeof *fault_names; i++)
        if (strcmp(action, fault_names[i]) == 0)
            return (enum base_fault)i;
    return BASE_FAULT_NONE;
}

/* Actions that end the process. */
static bool is_deadly(const char *action)
{
    return strcmp(action, "kill") == 0 || strcmp(action, "term") == 0;
}

static bool is_known(const char *name)
{
    for (const struct base_failpoint *const *p = __start_cachet_failpoints; p < __stop_cachet_failpoints; p++)
        if (strcmp((*p)->name, name) == 0)
            return true;
    return false;
}

static void read_order(void)
{
    char text[BASE_FAILPOINT_TEXT + 1] = "";
    order.generation = __atomic_load_n(&orders->generation, __ATOMIC_ACQUIRE);
    memcpy(text, orders->text, BASE_FAILPOINT_TEXT);
    order.passages = 0;
    armed = BASE_FAULT_NONE;
    if (text[0] == '\0')
        return;
    if (sscanf(text, "%111[^:]:%lu:%15s", order.name, &order.passages, order.action) != 3 || order.passages == 0 || !is_known(order.name) ||
        (fault_of(order.action) == BASE_FAULT_NONE && !is_deadly(order.action) && strcmp(order.action, "stop") != 0))
        refuse(text);
}

static void print_list(void)
{
    for (const struct base_failpoint *const *p = __start_cachet_failpoints; p < __stop_cachet_failpoints; p++)
        (void)printf("%s %s\n", (*p)->name, kind_names[(*p)->kind]);
    exit(0);
}

__attribute__((constructor)) static void start(void)
{
    const char *text = getenv("CACHET_FAILPOINT");
    if (text == NULL)
        return;
    if (strcmp(text, "list") == 0)
        print_list();
    if (text[0] != '@') {
        (void)snprintf(own.text, sizeof own.text, "%s", text);
        own.generation = 1;
        read_order();
        return;
    }
    int fd = open(text + 1, O_RDWR | O_CLOEXEC);
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof own, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        refuse(text);
    (void)close(fd);
    orders = mapped;
    /* What was ordered before this process began was for the one before it, unless that has not happened. */
    if (orders->generation == orders->fired)
        order.generation = orders->generation;
}

/* Stands still as a whole; a child lets it go on. It holds none of our descriptors: a connection must not outlive us by it. */
static void stand_still(void)
{
    pid_t self = getpid(), child = fork();
    if (child == 0) {
        const struct timespec pause = {.tv_sec = STOPPED_SECONDS};
        (void)close_range(0, ~0u, 0);
        (void)nanosleep(&pause, NULL);
        (void)kill(self, SIGCONT);
        _exit(0);
    }
    if (child < 0)
        return;
    (void)kill(self, SIGSTOP);
    (void)waitpid(child, NULL, 0);
}

void base_failpoint_pass(const struct base_failpoint *const *listed)
{
    const struct base_failpoint *point = *listed;
    size_t index = (size_t)(listed - __start_cachet_failpoints);
    if (index < BASE_FAILPOINTS)
        orders->passed[index]++;
    if (__atomic_load_n(&orders->generation, __ATOMIC_ACQUIRE) != order.generation)
        read_order();
    if (order.passages == 0 || strcmp(order.name, point->name) != 0 || --order.passages > 0)
        return;
    armed = fault_of(order.action);
    if (armed != BASE_FAULT_NONE)
        return; /* it has happened when the frame goes */
    __atomic_store_n(&orders->fired, order.generation, __ATOMIC_RELEASE);
    if (is_deadly(order.action))
        (void)kill(getpid(), strcmp(order.action, "kill") == 0 ? SIGKILL : SIGTERM);
    else
        stand_still();
}

enum base_fault base_failpoint_take(enum base_fault most)
{
    enum base_fault fault = armed;
    if (fault == BASE_FAULT_NONE || fault > most)
        return BASE_FAULT_NONE;
    armed = BASE_FAULT_NONE;
    __atomic_store_n(&orders->fired, order.generation, __ATOMIC_RELEASE);
    return fault;
}

void base_failpoint_fingerprint(const void *data, size_t size)
{
    static const char label[] = "cachet fingerprint of a test build";
    uint32_t at = orders->fingerprints % BASE_FINGERPRINTS;
    (void)crypto_generichash(orders->fingerprint[at], BASE_FINGERPRINT_BYTES, data, size, (const unsigned char *)label, sizeof label - 1);
    __atomic_store_n(&orders->fingerprints, orders->fingerprints + 1, __ATOMIC_RELEASE);
}
