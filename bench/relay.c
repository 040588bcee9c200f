/* The relay. Everything that is watched is edge-triggered: an event only sets flags, and one pass over all
 * connections does what the flags and the clock allow. A pass that leaves work is followed by another; else
 * the thread sleeps until an event or the next due time. So nothing is polled, whatever state a socket is in.
 */
#include "bench/relay_connection.h"

#include "base/memory.h"

#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { EVENTS = 64, BACKLOG = 64 };

/* --- the loop -------------------------------------------------------------------------------------- */

static void take_connections(struct relay *r, size_t map)
{
    struct relay_port *port = &r->ports[map];
    while (port->watch.readable) {
        int fd = accept4(port->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            /* Without a free descriptor the flag stays: the next pass after a connection has ended tries
             * again. */
            port->watch.readable = errno == EMFILE || errno == ENFILE || errno == ECONNABORTED;
            if (errno == ECONNABORTED)
                continue;
            return;
        }
        port->total.connections++;
        struct relay_connection *c = calloc(1, sizeof *c);
        if (c == NULL) {
            (void)close(fd);
            continue;
        }
        *c = (struct relay_connection){.next = r->connections,
                                       .map = map,
                                       .give_up_ns = relay_now_ns() + r->patience_ns,
                                       .side = {{.fd = fd}, {.fd = -1}}};
        if (relay_socket_prepare(fd) != 0 ||
            relay_watch_add(r, &c->side[0], EPOLLIN | EPOLLOUT | EPOLLET) != 0) {
            relay_connection_destroy(c, true);
            continue;
        }
        r->connections = c;
    }
}

static int64_t serve_all(struct relay *r)
{
    int64_t wanted = RELAY_NEVER;
    for (size_t i = 0; i < r->port_count; i++)
        take_connections(r, i);
    for (struct relay_connection **at = &r->connections; *at != NULL;) {
        struct relay_connection *c = *at;
        bool reset;
        if (relay_connection_serve(r, c, &reset)) {
            int64_t own = relay_connection_wanted_ns(r, c);
            wanted = own < wanted ? own : wanted;
            at = &c->next;
        } else {
            *at = c->next;
            relay_connection_destroy(c, reset);
        }
    }
    return wanted;
}

static bool arm(struct relay *r, int64_t at_ns)
{
    struct itimerspec when = {.it_value = {.tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000}};
    if (at_ns == r->armed_ns)
        return true;
    r->armed_ns = at_ns;
    return timerfd_settime(r->timer.fd, TFD_TIMER_ABSTIME, &when, NULL) == 0;
}

/* Waits for events, or until `relay_connection_wanted_ns`, and sets flags. False with errno set: it cannot.
 */
static bool wait_events(struct relay *r, int64_t wanted, const sigset_t *signals)
{
    struct epoll_event events[EVENTS];
    bool now = wanted <= relay_now_ns();
    if (!now && wanted != RELAY_NEVER && !arm(r, wanted))
        return false;
    r->waits++;
    int count = epoll_pwait(r->epoll, events, EVENTS, now ? 0 : -1, signals);
    for (int i = 0; i < count; i++) {
        struct relay_watch *watch = events[i].data.ptr;
        uint32_t e = events[i].events;
        watch->readable |= (e & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
        watch->writable |= (e & (EPOLLOUT | EPOLLHUP)) != 0;
        watch->failed |= (e & EPOLLERR) != 0;
        if (watch == &r->timer)
            r->armed_ns = RELAY_NEVER;
    }
    return count >= 0 || errno == EINTR;
}

/* True when the stream has ended; what it says is dropped. */
static bool has_ended(struct relay_watch *watch)
{
    char dropped[256];
    if (!watch->readable)
        return false;
    watch->readable = false;
    ssize_t got = read(watch->fd, dropped, sizeof dropped);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

enum base_status relay_run(struct relay *r, int until_eof, relay_stopped_fn stopped, void *context,
                           struct base_error *error)
{
    enum base_status status = BASE_OK;
    sigset_t asking, before;
    struct relay_watch end = {.fd = until_eof};
    (void)sigemptyset(&asking);
    for (size_t i = 0; i < 4; i++)
        (void)sigaddset(&asking, (const int[]){SIGINT, SIGTERM, SIGHUP, SIGQUIT}[i]);
    (void)pthread_sigmask(SIG_BLOCK, &asking, &before);
    if (until_eof >= 0)
        TRY_THAT(relay_watch_add(r, &end, EPOLLIN) == 0, error, BASE_ERR_ARGUMENT,
                 "cannot wait for the end of standard input: %s: give it a pipe", strerror(errno));
    while (!has_ended(&end) && (stopped == NULL || !stopped(context)))
        TRY_THAT(wait_events(r, serve_all(r), &before), error, BASE_ERR_INTERNAL,
                 "cannot wait for events: %s", strerror(errno));
out:
    if (until_eof >= 0)
        (void)epoll_ctl(r->epoll, EPOLL_CTL_DEL, until_eof, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

/* --- making and ending ----------------------------------------------------------------------------- */

static enum base_status resolve(const struct relay_end *end, struct sockaddr_storage *ret,
                                socklen_t *ret_size, struct base_error *error)
{
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found = NULL;
    (void)snprintf(port, sizeof port, "%u", (unsigned)end->port);
    int code = getaddrinfo(end->host, port, &hints, &found);
    if (code != 0)
        return base_fail(error, BASE_ERR_IO, "%s has no address: %s", end->host, gai_strerror(code));
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    *ret_size = found->ai_addrlen;
    freeaddrinfo(found);
    return BASE_OK;
}

static enum base_status port_open(struct relay *r, struct relay_port *port, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct sockaddr_storage own;
    socklen_t size;
    int one = 1;
    char text[RELAY_HOST + 10];
    relay_end_print(&port->map.listen, text);
    TRY(resolve(&port->map.to, &port->to, &port->to_size, error));
    TRY(resolve(&port->map.listen, &own, &size, error));
    port->watch.fd = socket(own.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    TRY_THAT(port->watch.fd >= 0, error, BASE_ERR_IO, "cannot make a socket: %s", strerror(errno));
    (void)setsockopt(port->watch.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    TRY_THAT(bind(port->watch.fd, (const struct sockaddr *)&own, size) == 0 &&
                 listen(port->watch.fd, BACKLOG) == 0,
             error, BASE_ERR_IO, "cannot listen on %s: %s%s", text, strerror(errno),
             errno == EADDRINUSE      ? ": end the program that has it, or take another port"
             : errno == EADDRNOTAVAIL ? ": the host must be an address of this machine"
                                      : "");
    TRY_THAT(getsockname(port->watch.fd, (struct sockaddr *)&own, &size) == 0 &&
                 relay_watch_add(r, &port->watch, EPOLLIN | EPOLLET) == 0,
             error, BASE_ERR_IO, "cannot watch %s: %s", text, strerror(errno));
    port->number = ntohs(own.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&own)->sin6_port
                                                   : ((struct sockaddr_in *)&own)->sin_port);
out:
    return status;
}

static void set_link(struct relay *r, const struct relay_link *link)
{
    for (int d = 0; d < 2; d++) {
        r->delay_ns[d] = (int64_t)ceil(link->delay_ms[d] * 1e6);
        r->jitter_ns[d] = link->jitter_ms[d] * 1e6;
        r->ns_per_byte[d] = link->mbit[d] > 0 ? 8e3 / link->mbit[d] : 0;
        r->bound[d] = relay_link_bound(link, d);
    }
}

enum base_status relay_create(struct relay **ret, const struct relay_form *form, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct relay *r = NULL;
    TRY(base_alloc(&r, 1, sizeof *r, error));
    r->epoll = r->timer.fd = -1;
    r->armed_ns = RELAY_NEVER;
    r->random = form->seed;
    r->talk = form->talk;
    r->patience_ns = (int64_t)(form->patience_ms * 1e6);
    set_link(r, &form->link);
    TRY(base_alloc(&r->ports, form->map_count, sizeof *r->ports, error));
    r->port_count = form->map_count;
    for (size_t i = 0; i < form->map_count; i++)
        r->ports[i] = (struct relay_port){.map = form->maps[i], .watch.fd = -1};
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    r->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    TRY_THAT(r->epoll >= 0 && r->timer.fd >= 0 && relay_watch_add(r, &r->timer, EPOLLIN | EPOLLET) == 0,
             error, BASE_ERR_IO, "cannot make a timer: %s", strerror(errno));
    for (size_t i = 0; i < form->map_count; i++)
        TRY(port_open(r, &r->ports[i], error));
    *ret = r;
    return BASE_OK;
out:
    relay_destroy(&r);
    return status;
}

void relay_destroy(struct relay **relay)
{
    struct relay *r = *relay;
    if (r == NULL)
        return;
    for (struct relay_connection *c = r->connections, *next; c != NULL; c = next) {
        next = c->next;
        relay_connection_destroy(c, true);
    }
    for (size_t i = 0; i < r->port_count; i++)
        if (r->ports[i].watch.fd >= 0)
            (void)close(r->ports[i].watch.fd);
    if (r->timer.fd >= 0)
        (void)close(r->timer.fd);
    if (r->epoll >= 0)
        (void)close(r->epoll);
    base_free(&r->ports);
    base_free(relay);
}

uint16_t relay_port(const struct relay *relay, size_t map)
{
    return relay->ports[map].number;
}

struct relay_total relay_total(const struct relay *relay, size_t map)
{
    return relay->ports[map].total;
}

uint64_t relay_waits(const struct relay *relay)
{
    return relay->waits;
}
