#include "parties/serve/server.h"

#include "base/clock.h"
#include "base/memory.h"
#include "parties/serve/completion.h"
#include "parties/serve/route.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEADER_BYTES = 32 * 1024,
    STACK_BYTES = 2 * 1024 * 1024,
    FIRST_BODY = 16 * 1024,
    LAST_WORD_MS = 2000,
    SPARE_CONNECTIONS = 16, /* to say no on, and for /health */
    /* A small buffer towards clients: one that does not read shows before megabytes are on their way. */
    SEND_BUFFER = 32 * 1024,
    /* A body that is refused is read all the same up to here: clients that are still sending would miss the answer. */
    MOST_PASSED_OVER = 64 * 1024 * 1024,
};

static void on_connection(void *context, struct MHD_Connection *connection, void **ret_socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct gateway *gateway = context;
    struct base_error error = {0};
    struct serve_connection *c = *ret_socket_context;
    const int send_buffer = SEND_BUFFER;
    (void)pthread_mutex_lock(&gateway->connections_mutex);
    if (what == MHD_CONNECTION_NOTIFY_STARTED && base_alloc(&c, 1, sizeof *c, &error) == BASE_OK) {
        c->socket = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        c->deadline_ms = base_deadline_after(gateway->options.request_ms);
        (void)setsockopt(c->socket, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
        c->after = gateway->connections;
        if (c->after != NULL)
            c->after->before = c;
        gateway->connections = c;
        gateway->connection_count++;
        *ret_socket_context = c;
    } else if (what == MHD_CONNECTION_NOTIFY_CLOSED && c != NULL) {
        if (c->after != NULL)
            c->after->before = c->before;
        *(c->before != NULL ? &c->before->after : &gateway->connections) = c->after;
        gateway->connection_count--;
        base_free(&c);
        *ret_socket_context = NULL;
    }
    (void)pthread_mutex_unlock(&gateway->connections_mutex);
}

/* A new deadline for what is arriving; 0: nothing is. */
static void set_deadline(struct gateway *gateway, struct MHD_Connection *connection, int milliseconds)
{
    struct serve_connection *c =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    (void)pthread_mutex_lock(&gateway->connections_mutex);
    if (c != NULL)
        c->deadline_ms = milliseconds > 0 ? base_deadline_after(milliseconds) : 0;
    (void)pthread_mutex_unlock(&gateway->connections_mutex);
}

void serve_server_look(struct gateway *gateway)
{
    int64_t now = base_clock_ms();
    (void)pthread_mutex_lock(&gateway->connections_mutex);
    for (struct serve_connection *c = gateway->connections; c != NULL; c = c->after)
        if (c->deadline_ms != 0 && now > c->deadline_ms)
            (void)shutdown(c->socket, SHUT_RDWR);
    (void)pthread_mutex_unlock(&gateway->connections_mutex);
}

static void refuse_crowd(struct serve_exchange *exchange)
{
    struct gateway *gateway = exchange->gateway;
    (void)pthread_mutex_lock(&gateway->connections_mutex);
    size_t count = gateway->connection_count;
    (void)pthread_mutex_unlock(&gateway->connections_mutex);
    if (count > gateway->options.most_connections && exchange->refusal.http_status == 0 && !exchange->route->open)
        (void)api_fail(&exchange->refusal, BASE_ERR_CLOSED, API_FAULT_UNAVAILABLE, NULL, "too_many_connections",
                       "more than %zu connections are open", gateway->options.most_connections);
}

static enum MHD_Result count_length(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    *(int *)context += strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0;
    return MHD_YES;
}

/* A request that says its length in two ways may be cut differently by a proxy in front. */
static void refuse_two_lengths(struct serve_exchange *exchange)
{
    int lengths = 0;
    (void)MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, count_length, &lengths);
    if (MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL)
        lengths++;
    if (lengths > 1)
        (void)api_fail(&exchange->refusal, BASE_ERR_ARGUMENT, API_FAULT_REQUEST, NULL, "two_lengths",
                       "the length of the body is given more than once");
}

static void refuse_size(struct serve_exchange *exchange)
{
    if (exchange->refusal.http_status == 0)
        (void)api_fail(&exchange->refusal, BASE_ERR_ARGUMENT, API_FAULT_TOO_LARGE, NULL, "body_too_large",
                       "the body is longer than %zu bytes", exchange->gateway->options.body_bytes);
}

/* Keeps a part of the body, or passes it over; false: the connection is given up. */
static bool take_body(struct serve_exchange *exchange, const char *data, size_t size)
{
    struct base_error error = {0};
    size_t most = exchange->gateway->options.body_bytes, needed = exchange->body_size + size;
    if (exchange->refusal.http_status == 0 && (!exchange->route->post || needed > most))
        refuse_size(exchange);
    if (exchange->refusal.http_status != 0) {
        base_free_secret(&exchange->body);
        exchange->passed_over += size;
        return exchange->passed_over <= MOST_PASSED_OVER;
    }
    if (needed > exchange->body_capacity) {
        char *grown;
        size_t capacity = exchange->body_capacity > 0 ? exchange->body_capacity : FIRST_BODY;
        while (capacity < needed)
            capacity *= 2;
        if (base_alloc(&grown, capacity, 1, &error) != BASE_OK)
            return false;
        if (exchange->body_size > 0)
            memcpy(grown, exchange->body, exchange->body_size);
        base_free_secret(&exchange->body);
        exchange->body = grown;
        exchange->body_capacity = capacity;
    }
    memcpy(exchange->body + exchange->body_size, data, size);
    exchange->body_size = needed;
    return true;
}

static enum MHD_Result begin(struct gateway *gateway, struct MHD_Connection *connection, const char *path,
                             const char *method, void **ret_exchange)
{
    struct base_error error = {0};
    struct serve_exchange *exchange;
    if (base_alloc(&exchange, 1, sizeof *exchange, &error) != BASE_OK)
        return MHD_NO;
    *ret_exchange = exchange;
    exchange->gateway = gateway;
    exchange->connection = connection;
    set_deadline(gateway, connection, gateway->options.request_ms);
    serve_route_begin(exchange, path, method);
    refuse_crowd(exchange);
    refuse_two_lengths(exchange);
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    const char *expect = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT);
    unsigned long long announced = length != NULL ? strtoull(length, NULL, 10) : 0;
    if (announced > gateway->options.body_bytes)
        refuse_size(exchange);
    /* The client waits for a word before it sends the body, or the body is too long to be read for nothing. */
    if (exchange->refusal.http_status != 0 && announced > 0 && (expect != NULL || announced > MOST_PASSED_OVER)) {
        set_deadline(gateway, connection, 0);
        return serve_reply_error(exchange, &exchange->refusal);
    }
    return MHD_YES;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data, size_t *data_size,
                                  void **exchange_context)
{
    struct gateway *gateway = context;
    struct serve_exchange *exchange = *exchange_context;
    if (exchange == NULL)
        return begin(gateway, connection, path, method, exchange_context);
    if (*data_size > 0) {
        bool go_on = take_body(exchange, data, *data_size);
        *data_size = 0;
        return go_on ? MHD_YES : MHD_NO;
    }
    set_deadline(gateway, connection, 0);
    return serve_route_answer(exchange);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **exchange_context,
                         enum MHD_RequestTerminationCode code)
{
    struct serve_exchange *exchange = *exchange_context;
    if (exchange == NULL)
        return;
    serve_completion_end(exchange->completion);
    base_free_secret(&exchange->body);
    set_deadline(context, connection, exchange->gateway->options.request_ms);
    base_free_secret(&exchange);
    *exchange_context = NULL;
}

enum base_status serve_server_start(struct gateway *gateway, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t most = gateway->options.most_connections;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | MHD_USE_ITC;
    (void)pthread_mutex_init(&gateway->connections_mutex, NULL);
    gateway->daemon = MHD_start_daemon(
        flags | (gateway->listen.ipv6 ? MHD_USE_IPv6 : 0), 0, NULL, NULL, on_request, gateway, MHD_OPTION_LISTEN_SOCKET,
        gateway->listen.socket, MHD_OPTION_CONNECTION_LIMIT, (unsigned)(most + most / 4 + SPARE_CONNECTIONS),
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)((gateway->options.patience_ms + 999) / 1000),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES, MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, gateway, MHD_OPTION_NOTIFY_CONNECTION, on_connection, gateway,
        MHD_OPTION_END);
    TRY_THAT(gateway->daemon != NULL, error, BASE_ERR_IO, "the HTTP server cannot start on %s", gateway->listen.url);
    gateway->listen.socket = -1; /* the server's now */
out:
    return status;
}

void serve_server_stop(struct gateway *gateway, int drain_ms)
{
    if (gateway->daemon == NULL)
        return;
    atomic_store(&gateway->draining, true);
    int64_t deadline = base_deadline_after(drain_ms);
    MHD_socket listening = MHD_quiesce_daemon(gateway->daemon);
    if (listening != MHD_INVALID_SOCKET)
        (void)close(listening);
    while (atomic_load(&gateway->generating) > 0 && base_deadline_left(deadline, 1) > 0) {
        serve_server_look(gateway);
        base_sleep_ms(20);
    }
    atomic_store(&gateway->stopping, true);
    /* Streams still say why they end. */
    deadline = base_deadline_after(LAST_WORD_MS);
    while (atomic_load(&gateway->generating) > 0 && base_deadline_left(deadline, 1) > 0)
        base_sleep_ms(20);
    MHD_stop_daemon(gateway->daemon);
    gateway->daemon = NULL;
    (void)pthread_mutex_destroy(&gateway->connections_mutex);
}
