#include "net/zmq_auth.h"

#include "base/clock.h"
#include "base/memory.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define STOP_ENDPOINT "inproc://cachet.zap.stop"

enum { PARTS_MAX = 8, PART_SIZE = 256, SELF_TEST_MS = 2000 };

struct domain {
    struct domain *next;
    char name[NET_DOMAIN_SIZE];
    struct net_auth_state state;
    size_t count;
    struct net_peer_key keys[];
};

struct net_auth {
    void *zmq;
    void *handler, *stop_sender, *stop_receiver;
    pthread_t thread;
    bool running;
    pthread_mutex_t mutex; /* guards the list of domains */
    struct domain *domains;
};

/* A multi-part message with short parts. */
struct message {
    int count;
    struct {
        size_t size;
        uint8_t bytes[PART_SIZE];
    } parts[PARTS_MAX];
};

/* The indices of a ZAP request's parts and of its reply's. */
enum {
    ZAP_VERSION,
    ZAP_ID,
    ZAP_DOMAIN,
    ZAP_ADDRESS,
    ZAP_IDENTITY,
    ZAP_MECHANISM,
    ZAP_KEY,
    ZAP_REQUEST_PARTS
};
enum { REPLY_VERSION, REPLY_ID, REPLY_CODE, REPLY_TEXT, REPLY_USER, REPLY_METADATA, REPLY_PARTS };

/* Reads one message whole; parts beyond the limits are counted, not kept. -1 when there is none. */
static int read_message(void *socket, struct message *ret)
{
    int more = 1;
    size_t more_size = sizeof more;
    ret->count = 0;
    while (more) {
        uint8_t spare[PART_SIZE];
        bool fits = ret->count < PARTS_MAX;
        int size = zmq_recv(socket, fits ? ret->parts[ret->count].bytes : spare, PART_SIZE, 0);
        if (size < 0)
            return -1;
        if (fits)
            ret->parts[ret->count].size = (size_t)size;
        ret->count++;
        if (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_size) != 0)
            return -1;
    }
    return 0;
}

static bool part_is(const struct message *message, int index, const char *text)
{
    return message->parts[index].size == strlen(text) &&
           memcmp(message->parts[index].bytes, text, strlen(text)) == 0;
}

static struct domain *find_domain(struct domain *domains, const uint8_t *name, size_t size)
{
    for (struct domain *domain = domains; domain != NULL; domain = domain->next)
        if (strlen(domain->name) == size && memcmp(domain->name, name, size) == 0)
            return domain;
    return NULL;
}

/* Decides on one request. Returns the status code; *ret_who is the admitted key's name. The mutex is held. */
static const char *decide(struct net_auth *auth, const struct message *request, const char **ret_who)
{
    *ret_who = "";
    if (request->count != ZAP_REQUEST_PARTS || !part_is(request, ZAP_VERSION, "1.0") ||
        !part_is(request, ZAP_MECHANISM, "CURVE") || request->parts[ZAP_KEY].size != NET_KEY_SIZE)
        return "400";
    struct domain *domain =
        find_domain(auth->domains, request->parts[ZAP_DOMAIN].bytes, request->parts[ZAP_DOMAIN].size);
    if (domain == NULL)
        return "500"; /* a socket that is being closed; the peer tries again and meets the next one */
    for (size_t i = 0; i < domain->count; i++) {
        if (memcmp(domain->keys[i].public_key, request->parts[ZAP_KEY].bytes, NET_KEY_SIZE) != 0)
            continue;
        if (domain->state.taken) {
            domain->state.busy++;
            return "500";
        }
        domain->state.taken = true;
        domain->state.taken_ms = base_clock_ms();
        domain->state.who = i;
        *ret_who = domain->keys[i].name;
        return "200";
    }
    domain->state.refused++;
    return "400";
}

static void answer(struct net_auth *auth, const struct message *request)
{
    const char *name;
    char who[sizeof((struct net_peer_key *)0)->name] = "";
    (void)pthread_mutex_lock(&auth->mutex);
    const char *code = decide(auth, request, &name);
    (void)snprintf(who, sizeof who, "%s", name);
    (void)pthread_mutex_unlock(&auth->mutex);
    const char *text = code[0] == '2' ? "admitted" : code[0] == '5' ? "busy" : "unknown key";
    bool has_id = request->count > ZAP_ID;
    (void)zmq_send(auth->handler, "1.0", 3, ZMQ_SNDMORE);
    (void)zmq_send(auth->handler, request->parts[ZAP_ID].bytes, has_id ? request->parts[ZAP_ID].size : 0,
                   ZMQ_SNDMORE);
    (void)zmq_send(auth->handler, code, 3, ZMQ_SNDMORE);
    (void)zmq_send(auth->handler, text, strlen(text), ZMQ_SNDMORE);
    (void)zmq_send(auth->handler, who, strlen(who), ZMQ_SNDMORE);
    (void)zmq_send(auth->handler, "", 0, 0);
}

static void *handler_thread(void *context)
{
    struct net_auth *auth = context;
    zmq_pollitem_t items[] = {{auth->handler, 0, ZMQ_POLLIN, 0}, {auth->stop_receiver, 0, ZMQ_POLLIN, 0}};
    struct message request;
    for (;;) {
        if (zmq_poll(items, 2, -1) < 0) {
            if (zmq_errno() == EINTR)
                continue;
            return NULL;
        }
        if (items[1].revents != 0)
            return NULL;
        if (items[0].revents != 0 && read_message(auth->handler, &request) == 0)
            answer(auth, &request);
    }
}

/* Sends one request as libzmq does and compares the status code of the reply. */
static enum base_status ask(void *socket, const char *domain, const char *mechanism, const uint8_t *key,
                            const char *want, struct base_error *error)
{
    struct message reply;
    (void)zmq_send(socket, "1.0", 3, ZMQ_SNDMORE);
    (void)zmq_send(socket, "7", 1, ZMQ_SNDMORE);
    (void)zmq_send(socket, domain, strlen(domain), ZMQ_SNDMORE);
    (void)zmq_send(socket, "127.0.0.1", 9, ZMQ_SNDMORE);
    (void)zmq_send(socket, "", 0, ZMQ_SNDMORE);
    (void)zmq_send(socket, mechanism, strlen(mechanism), ZMQ_SNDMORE);
    if (zmq_send(socket, key, NET_KEY_SIZE, 0) < 0 || read_message(socket, &reply) != 0)
        return base_fail(error, BASE_ERR_INTERNAL, "the handler that admits keys does not answer: %s",
                         zmq_strerror(zmq_errno()));
    if (reply.count != REPLY_PARTS || !part_is(&reply, REPLY_VERSION, "1.0") ||
        !part_is(&reply, REPLY_ID, "7") || !part_is(&reply, REPLY_CODE, want))
        return base_fail(error, BASE_ERR_INTERNAL,
                         "the handler that admits keys answers wrongly, expected status %s", want);
    return BASE_OK;
}

static enum base_status self_test(struct net_auth *auth, struct base_error *error)
{
    static const char domain[] = "self-test";
    enum base_status status;
    struct net_peer_key known = {.name = "self"};
    uint8_t unknown[NET_KEY_SIZE];
    int timeout = SELF_TEST_MS, zero = 0;
    void *socket = zmq_socket(auth->zmq, ZMQ_REQ);
    randombytes_buf(known.public_key, NET_KEY_SIZE);
    randombytes_buf(unknown, NET_KEY_SIZE);
    TRY_THAT(socket != NULL && zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof timeout) == 0 &&
                 zmq_setsockopt(socket, ZMQ_SNDTIMEO, &timeout, sizeof timeout) == 0 &&
                 zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero) == 0 &&
                 zmq_connect(socket, ZAP_ENDPOINT) == 0,
             error, BASE_ERR_INTERNAL, "cannot ask the handler that admits keys: %s",
             zmq_strerror(zmq_errno()));
    TRY(net_auth_open(auth, domain, &known, 1, error));
    TRY(ask(socket, domain, "CURVE", unknown, "400", error));
    TRY(ask(socket, domain, "NULL", known.public_key, "400", error));
    TRY(ask(socket, domain, "CURVE", known.public_key, "200", error));
    TRY(ask(socket, domain, "CURVE", known.public_key, "500", error));
    TRY(ask(socket, "elsewhere", "CURVE", known.public_key, "500", error));
out:
    net_auth_close(auth, domain);
    if (socket != NULL)
        (void)zmq_close(socket);
    return status;
}

static void *open_socket(void *zmq, int type, const char *endpoint, bool bind)
{
    int zero = 0;
    void *socket = zmq_socket(zmq, type);
    if (socket == NULL)
        return NULL;
    if (zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero) != 0 ||
        (bind ? zmq_bind(socket, endpoint) : zmq_connect(socket, endpoint)) != 0) {
        (void)zmq_close(socket);
        return NULL;
    }
    return socket;
}

enum base_status net_auth_create(struct net_auth **ret, void *zmq_context, struct base_error *error)
{
    struct net_auth *auth;
    enum base_status status = base_alloc(&auth, 1, sizeof *auth, error);
    if (status != BASE_OK)
        return status;
    auth->zmq = zmq_context;
    (void)pthread_mutex_init(&auth->mutex, NULL);
    auth->stop_receiver = open_socket(zmq_context, ZMQ_PAIR, STOP_ENDPOINT, true);
    auth->stop_sender = open_socket(zmq_context, ZMQ_PAIR, STOP_ENDPOINT, false);
    auth->handler = open_socket(zmq_context, ZMQ_REP, ZAP_ENDPOINT, true);
    TRY_THAT(auth->stop_receiver != NULL && auth->stop_sender != NULL && auth->handler != NULL, error,
             BASE_ERR_INTERNAL, "cannot set up the handler that admits keys: %s", zmq_strerror(zmq_errno()));
    TRY_THAT(pthread_create(&auth->thread, NULL, handler_thread, auth) == 0, error, BASE_ERR_MEMORY,
             "cannot start a thread: raise the limit of processes");
    auth->running = true;
    TRY(self_test(auth, error));
    *ret = auth;
    return BASE_OK;
out:
    net_auth_destroy(&auth);
    return status;
}

void net_auth_destroy(struct net_auth **auth)
{
    struct net_auth *a = *auth;
    if (a == NULL)
        return;
    if (a->running) {
        (void)zmq_send(a->stop_sender, "", 0, 0);
        (void)pthread_join(a->thread, NULL);
    }
    void *sockets[] = {a->handler, a->stop_sender, a->stop_receiver};
    for (int i = 0; i < 3; i++)
        if (sockets[i] != NULL)
            (void)zmq_close(sockets[i]);
    while (a->domains != NULL) {
        struct domain *next = a->domains->next;
        base_free(&a->domains);
        a->domains = next;
    }
    (void)pthread_mutex_destroy(&a->mutex);
    base_free(auth);
}

enum base_status net_auth_open(struct net_auth *auth, const char *domain, const struct net_peer_key *allowed,
                               size_t allowed_count, struct base_error *error)
{
    struct domain *entry = NULL;
    size_t size;
    enum base_status status;
    TRY_THAT(base_size_mul(allowed_count, sizeof *allowed, &size) &&
                 base_size_add(size, sizeof *entry, &size),
             error, BASE_ERR_MEMORY, "a list of %zu keys is larger than memory", allowed_count);
    TRY(base_alloc(&entry, 1, size, error));
    (void)snprintf(entry->name, sizeof entry->name, "%s", domain);
    entry->count = allowed_count;
    if (allowed_count > 0)
        memcpy(entry->keys, allowed, allowed_count * sizeof *allowed);
    (void)pthread_mutex_lock(&auth->mutex);
    entry->next = auth->domains;
    auth->domains = entry;
    (void)pthread_mutex_unlock(&auth->mutex);
out:
    return status;
}

void net_auth_close(struct net_auth *auth, const char *domain)
{
    (void)pthread_mutex_lock(&auth->mutex);
    for (struct domain **at = &auth->domains; *at != NULL; at = &(*at)->next)
        if (strcmp((*at)->name, domain) == 0) {
            struct domain *entry = *at;
            *at = entry->next;
            base_free(&entry);
            break;
        }
    (void)pthread_mutex_unlock(&auth->mutex);
}

void net_auth_read(struct net_auth *auth, const char *domain, struct net_auth_state *ret)
{
    memset(ret, 0, sizeof *ret);
    (void)pthread_mutex_lock(&auth->mutex);
    struct domain *entry = find_domain(auth->domains, (const uint8_t *)domain, strlen(domain));
    if (entry != NULL)
        *ret = entry->state;
    (void)pthread_mutex_unlock(&auth->mutex);
}
