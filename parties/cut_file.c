/* A mapped file that was cut, or whose disk fails, ends the process by SIGBUS where it is read. Here that is one line which names the file, and an exit
 * code. All that the handler calls may be called in one; other causes of SIGBUS are faults of the program and end it as they always do. */
#include "base/text.h"
#include "parties/command.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { LINE = 4608, HEX = 16 };

static const char *of_command;

struct text {
    char data[LINE + 512];
    size_t size;
};

static void add(struct text *text, const char *more)
{
    size_t size = strlen(more), room = sizeof text->data - text->size;
    size = size < room ? size : room;
    memcpy(text->data + text->size, more, size);
    text->size += size;
}

/* Hexadecimal digits from *at on; *at ends behind them. */
static uint64_t read_hex(const char **at)
{
    static const char digits[HEX + 1] = "0123456789abcdef";
    uint64_t value = 0;
    for (const char *digit; **at != '\0' && (digit = strchr(digits, **at)) != NULL; (*at)++)
        value = value << 4 | (uint64_t)(digit - digits);
    return value;
}

/* The path in a line of /proc/self/maps, "FROM-TO RIGHTS OFFSET DEVICE INODE   PATH", where it is of the address; NULL: of another one. */
static const char *path_of(const char *line, uint64_t address)
{
    const char *at = line;
    uint64_t from = read_hex(&at);
    if (*at++ != '-' || address < from || address >= read_hex(&at))
        return NULL;
    at = strchr(at, '/');
    return at == NULL ? "" : at;
}

/* The file that is mapped at an address; "": none is found. */
static void find_file(uint64_t address, char ret[LINE])
{
    char piece[1024];
    size_t used = 0;
    int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    ret[0] = '\0';
    for (ssize_t got; maps >= 0 && (got = read(maps, piece, sizeof piece)) > 0;)
        for (ssize_t i = 0; i < got; i++) {
            if (piece[i] != '\n') {
                /* Names come from others: they must not forge a line or drive a terminal. */
                ret[used] = base_text_is_control(piece[i]) ? '?' : piece[i];
                used += used + 1 < LINE;
                continue;
            }
            ret[used] = '\0';
            used = 0;
            const char *path = path_of(ret, address);
            if (path != NULL) {
                memmove(ret, path, strlen(path) + 1);
                (void)close(maps);
                return;
            }
        }
    if (maps >= 0)
        (void)close(maps);
    ret[0] = '\0';
}

static void end(int number, siginfo_t *about, void *context)
{
    static char path[LINE];
    static struct text text;
    static int once;
    (void)context;
    if (about->si_code != BUS_ADRERR) {
        (void)signal(number, SIG_DFL);
        (void)raise(number);
        return;
    }
    while (__atomic_exchange_n(&once, 1, __ATOMIC_ACQUIRE) != 0)
        (void)pause(); /* another thread has met the same, and ends the process */
    find_file((uint64_t)(uintptr_t)about->si_addr, path);
    add(&text, "cachet ");
    add(&text, of_command);
    add(&text, ": error (io): ");
    add(&text, path[0] != '\0' ? path : "a mapped file");
    add(&text, ": was cut, or its disk failed, while it was read: put the whole file back, check the disk, and start again; ");
    add(&text, "never write into files that are in use\n");
    for (size_t done = 0; done < text.size;) {
        ssize_t now = write(STDERR_FILENO, text.data + done, text.size - done);
        if (now <= 0)
            break;
        done += (size_t)now;
    }
    _exit(base_status_exit_code(BASE_ERR_IO));
}

void command_watch_files(const char *command)
{
    struct sigaction action = {.sa_sigaction = end, .sa_flags = SA_SIGINFO};
    of_command = command;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGBUS, &action, NULL);
}
