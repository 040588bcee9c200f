#include "bench/relay_connection.h"

#include "base/random.h"

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
    PIECES_PER_TURN = 4, /* read and passed on for one connection before the others have their turn */
    RETRY_NS = 20000000  /* between attempts at a target that is not there */
};

enum mark { MARK_NONE, MARK_END, MARK_RESET };

/* Bytes, or a mark, on their way. */
struct relay_piece {
    struct relay_piece *next;
    int64_t due_ns;
    size_t size, sent;
    enum mark mark;
    unsigned char bytes[];
};

int64_t relay_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int relay_watch_add(struct relay *r, struct relay_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    return epoll_ctl(r->epoll, EPOLL_CTL_ADD, watch->fd, &event);
}

/* --- one direction --------------------------------------------------------------------------------- */

static void way_clear(struct relay_way *w)
{
    for (struct relay_piece *piece = w->first, *next; piece != NULL; piece = next) {
        next = piece->next;
        free(piece);
    }
    w->first = w->last = NULL;
    w->held = 0;
}

/* Puts `size` bytes of the buffer, or a mark, on its way at this moment. */
static bool way_push(struct relay *r, struct relay_connection *c, int d, size_t size, enum mark mark)
{
    struct relay_way *w = &c->way[d];
    struct relay_total *total = &r->ports[c->map].total;
    struct relay_piece *piece = malloc(sizeof *piece + size);
    if (piece == NULL)
        return false;
    int64_t now = relay_now_ns(), jitter = 0;
    if (r->jitter_ns[d] > 0)
        jitter = (int64_t)(r->jitter_ns[d] * (2 * base_random_fraction(&r->random) - 1));
    w->free_ns = (now > w->free_ns ? now : w->free_ns) + (int64_t)ceil((double)size * r->ns_per_byte[d]);
    int64_t due = w->free_ns + r->delay_ns[d] + jitter;
    w->due_ns = due > w->due_ns ? due : w->due_ns;
    *piece = (struct relay_piece){.due_ns = w->due_ns, .size = size, .mark = mark};
    memcpy(piece->bytes, r->buffer, size);
    if (w->last != NULL)
        w->last->next = piece;
    else
        w->first = piece;
    w->last = piece;
    w->held += sizeof *piece + size;
    total->most_held = w->held > total->most_held ? w->held : total->most_held;
    return true;
}

static void way_pop(struct relay_way *w)
{
    struct relay_piece *piece = w->first;
    w->first = piece->next;
    if (w->first == NULL)
        w->last = NULL;
    w->held -= sizeof *piece + piece->size;
    free(piece);
}

static bool way_has_room(const struct relay *r, const struct relay_connection *c, int d)
{
    return !c->way[d].ended && c->way[d].held + RELAY_PIECE + sizeof(struct relay_piece) <= r->bound[d];
}

/* --- connections ----------------------------------------------------------------------------------- */

void relay_connection_destroy(struct relay_connection *c, bool with_reset)
{
    struct linger at_once = {.l_onoff = 1};
    for (int s = 0; s < 2; s++) {
        way_clear(&c->way[s]);
        if (c->side[s].fd < 0)
            continue;
        if (with_reset)
            (void)setsockopt(c->side[s].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        (void)close(c->side[s].fd);
    }
    free(c);
}

/* Side s is gone: the other one hears of it behind what is already under way. Returns false when there is
 * nobody left to hear. */
static bool side_lost(struct relay *r, struct relay_connection *c, int s)
{
    struct relay_way *from = &c->way[s], *to = &c->way[1 - s];
    if (c->lost[s]) /* known: the system may say so twice */
        return true;
    if (c->lost[1 - s] || c->state != RELAY_OPEN)
        return false;
    c->lost[s] = true;
    from->ended = to->ended = to->closed = true;
    from->closed = false;
    way_clear(to);
    return way_push(r, c, s, 0, MARK_RESET);
}

/* Reads what side d has, a few pieces at a time. False: the connection is over. */
static bool take(struct relay *r, struct relay_connection *c, int d)
{
    struct relay_watch *from = &c->side[d];
    for (int i = 0; i < PIECES_PER_TURN && from->readable && way_has_room(r, c, d); i++) {
        ssize_t got = read(from->fd, r->buffer, RELAY_PIECE);
        if (got > 0) {
            if (!way_push(r, c, d, (size_t)got, MARK_NONE))
                return false;
        } else if (got == 0) {
            c->way[d].ended = true;
            if (!way_push(r, c, d, 0, MARK_END))
                return false;
        } else if (errno == EAGAIN) {
            from->readable = false;
        } else if (errno != EINTR) {
            from->failed = false;
            return side_lost(r, c, d);
        }
    }
    if (from->failed) {
        from->failed = false;
        return side_lost(r, c, d);
    }
    return true;
}

/* Passes on what is due. False: the connection is over. */
static bool pass_on(struct relay *r, struct relay_connection *c, int d)
{
    struct relay_way *w = &c->way[d];
    struct relay_watch *to = &c->side[1 - d];
    int64_t now = relay_now_ns();
    for (int i = 0; i < PIECES_PER_TURN; i++) {
        struct relay_piece *piece = w->first;
        if (piece == NULL || piece->due_ns > now || !to->writable || piece->mark == MARK_RESET)
            break;
        if (piece->mark == MARK_END) {
            (void)shutdown(to->fd, SHUT_WR);
            w->closed = true;
            way_pop(w);
            continue;
        }
        ssize_t put = send(to->fd, piece->bytes + piece->sent, piece->size - piece->sent, MSG_NOSIGNAL);
        if (put < 0 && errno == EAGAIN) {
            to->writable = false;
        } else if (put < 0 && errno != EINTR) {
            to->failed = false;
            return side_lost(r, c, 1 - d);
        } else if (put > 0) {
            piece->sent += (size_t)put;
            r->ports[c->map].total.bytes[d] += (uint64_t)put;
            if (piece->sent == piece->size)
                way_pop(w);
        }
    }
    /* A reset does not wait for a reader that stalls: as in TCP, what that one has no room for is lost. */
    return w->last == NULL || w->last->mark != MARK_RESET || w->last->due_ns > now;
}

/* --- the target ------------------------------------------------------------------------------------ */

int relay_socket_prepare(int fd)
{
    int one = 1;
    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* The target took no connection: again in a while, or never. */
static bool target_absent(struct relay *r, struct relay_connection *c, int cause)
{
    struct relay_port *port = &r->ports[c->map];
    char to[RELAY_HOST + 10];
    if (c->side[1].fd >= 0)
        (void)close(c->side[1].fd);
    c->side[1] = (struct relay_watch){.fd = -1};
    c->state = RELAY_WAITING;
    c->retry_ns = relay_now_ns() + RETRY_NS;
    if (c->retry_ns < c->give_up_ns && !c->way[0].ended)
        return true;
    port->total.failed++;
    relay_end_print(&port->map.to, to);
    if (r->talk != NULL && !port->said)
        (void)fprintf(r->talk,
                      "cannot connect to %s: %s: the connection is closed (said once, then counted)\n", to,
                      strerror(cause));
    port->said = true;
    return false;
}

static bool target_connect(struct relay *r, struct relay_connection *c)
{
    const struct relay_port *port = &r->ports[c->map];
    int fd = socket(port->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    c->side[1] = (struct relay_watch){.fd = fd};
    if (fd < 0 || relay_socket_prepare(fd) != 0)
        return target_absent(r, c, errno);
    if (connect(fd, (const struct sockaddr *)&port->to, port->to_size) != 0 && errno != EINPROGRESS)
        return target_absent(r, c, errno);
    c->state = RELAY_CONNECTING;
    if (relay_watch_add(r, &c->side[1], EPOLLIN | EPOLLOUT | EPOLLET) != 0)
        return target_absent(r, c, errno);
    return true;
}

/* False: the connection is over. */
static bool reach_target(struct relay *r, struct relay_connection *c)
{
    int cause = 0;
    socklen_t size = sizeof cause;
    if (c->side[0].failed) /* nobody is left to connect for */
        return false;
    if (c->state == RELAY_WAITING)
        return relay_now_ns() < c->retry_ns || target_connect(r, c);
    bool decided = c->side[1].writable || c->side[1].failed;
    if (!decided && relay_now_ns() < c->give_up_ns)
        return true;
    if (!decided)
        cause = ETIMEDOUT;
    else if (getsockopt(c->side[1].fd, SOL_SOCKET, SO_ERROR, &cause, &size) != 0)
        cause = errno;
    if (cause != 0)
        return target_absent(r, c, cause);
    c->state = RELAY_OPEN;
    return true;
}

/* --- a pass ---------------------------------------------------------------------------------------- */

/* Does what can be done for a connection; false: it is over, *ret_reset says how. */
bool relay_connection_serve(struct relay *r, struct relay_connection *c, bool *ret_reset)
{
    *ret_reset = true;
    if (c->state != RELAY_OPEN && !reach_target(r, c))
        return false;
    for (int d = 0; d < 2; d++)
        if (c->state == RELAY_OPEN && !pass_on(r, c, d))
            return false;
    for (int d = 0; d < 2; d++)
        if ((d == 0 || c->state == RELAY_OPEN) && !take(r, c, d))
            return false;
    for (int d = 0; d < 2; d++)
        if (c->state == RELAY_OPEN && !pass_on(r, c, d))
            return false;
    *ret_reset = false;
    return !(c->way[0].closed && c->way[1].closed);
}

/* When the connection needs the next pass, if no event comes before. */
int64_t relay_connection_wanted_ns(const struct relay *r, const struct relay_connection *c)
{
    int64_t wanted = c->state == RELAY_WAITING      ? c->retry_ns
                     : c->state == RELAY_CONNECTING ? c->give_up_ns
                                                    : RELAY_NEVER;
    for (int d = 0; d < 2; d++) {
        const struct relay_piece *first = c->way[d].first, *last = c->way[d].last;
        const struct relay_piece *next = c->side[1 - d].writable ? first : c->lost[d] ? last : NULL;
        if (next != NULL && c->state == RELAY_OPEN && next->due_ns < wanted)
            wanted = next->due_ns;
        if (c->side[d].readable && way_has_room(r, c, d))
            wanted = 0;
    }
    return wanted;
}
