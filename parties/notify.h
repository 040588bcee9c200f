/* Words to the service manager that started this process (systemd's Type=notify): one datagram each to the
 * socket that $NOTIFY_SOCKET names, a path or an abstract name ("@..."). Without the variable nothing is
 * sent. */
#ifndef CACHET_PARTIES_NOTIFY_H
#define CACHET_PARTIES_NOTIFY_H

#include "base/log.h"

#include <stdint.h>

enum notify_state {
    NOTIFY_STATUS,   /* only the text changes */
    NOTIFY_READY,    /* requests are taken from now on; may be said again */
    NOTIFY_STOPPING, /* asked to stop, and doing so */
};

/* `format`: one line for `systemctl status`, never a secret; control characters become '?'. A manager that
 * cannot be reached does not stop a party: `log` gets a warning. */
__attribute__((format(printf, 3, 4))) void notify_send(const struct base_log *log, enum notify_state state,
                                                       const char *format, ...);

/* A manager that asks for it ($WATCHDOG_USEC) must hear that this process is alive before so much time has
 * passed. */
struct notify_watchdog {
    int64_t period_ms; /* between two words: half of what the manager allows; 0: it does not ask */
    int64_t due_ms;    /* moment of base_clock_ms */
};
void notify_watchdog_start(struct notify_watchdog *ret);
/* Says so when it is due. Cheap: to be called from every loop that waits. */
void notify_watchdog_feed(struct notify_watchdog *watchdog, const struct base_log *log);

#endif
