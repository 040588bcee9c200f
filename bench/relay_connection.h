/* Inside the relay: one connection and its two directions. */
#ifndef CACHET_BENCH_RELAY_CONNECTION_H
#define CACHET_BENCH_RELAY_CONNECTION_H

#include "bench/relay.h"

#include <stdbool.h>
#include <sys/socket.h>

enum { RELAY_PIECE = 16384 };

/* In the place of a time: none. */
#define RELAY_NEVER INT64_MAX

struct relay_watch {
    int fd;
    bool readable, writable, failed;
};

/* One direction: from side d to side 1 - d. */
struct relay_way {
    struct relay_piece *first, *last;
    size_t held;
    int64_t free_ns, due_ns; /* when the link is free again; due time of the last piece */
    bool ended;              /* nothing more is read */
    bool closed;             /* nothing more is passed on */
};

enum relay_state { RELAY_WAITING, RELAY_CONNECTING, RELAY_OPEN };

struct relay_connection {
    struct relay_connection *next;
    size_t map;
    enum relay_state state;
    int64_t retry_ns, give_up_ns;
    struct relay_watch side[2]; /* the one that connected, the target */
    struct relay_way way[2];
    bool lost[2]; /* a side was reset */
};

struct relay_port {
    struct relay_map map;
    struct relay_watch watch;
    uint16_t number;
    struct sockaddr_storage to;
    socklen_t to_size;
    bool said;
    struct relay_total total;
};

struct relay {
    struct relay_port *ports;
    size_t port_count;
    struct relay_connection *connections;
    int epoll;
    struct relay_watch timer;
    int64_t armed_ns;
    int64_t delay_ns[2], patience_ns;
    double jitter_ns[2], ns_per_byte[2];
    size_t bound[2];
    uint64_t random, waits;
    FILE *talk;
    unsigned char buffer[RELAY_PIECE];
};

int64_t relay_now_ns(void);

/* Asks for `events` of a descriptor. As epoll_ctl. */
int relay_watch_add(struct relay *relay, struct relay_watch *watch, uint32_t events);

/* No delay of small segments: the links alone delay. As setsockopt. */
int relay_socket_prepare(int fd);

/* Does what flags and clock allow; false: it is over, *ret_reset says how. */
bool relay_connection_serve(struct relay *relay, struct relay_connection *connection, bool *ret_reset);

/* When it needs the next pass, if no event comes before: 0 is at once. */
int64_t relay_connection_wanted_ns(const struct relay *relay, const struct relay_connection *connection);

/* Closes both sides, with a reset or without, and frees it. */
void relay_connection_destroy(struct relay_connection *connection, bool with_reset);

#endif
