/* Ends that the program would never be, for test_access.sh: each tries one thing on a running party and prints the one line that it learns.
 * Exit code 0 when it was kept out, 1 when it got further than it may, 2 when it could not try. */
#include "net/frame.h"
#include "parties/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

enum { WAIT_MS = 20000, FIRST_CLIENT = 3, STEP = 7 };

static int fail(const struct base_error *error)
{
    (void)fprintf(stderr, "intruder: %s\n", error->text);
    return 2;
}

static int kept_out(const char *text)
{
    (void)printf("%s\n", text);
    return 0;
}

static int got_in(const char *what)
{
    (void)printf("got in: %s\n", what);
    return 1;
}

/* Whom to try: a port of party `party` and the key that it must show. */
static struct net_endpoint_config endpoint_of(const struct party_config *config, int party, int offset)
{
    struct net_endpoint_config endpoint = {.name = party_config_name(config, (size_t)party),
                                           .host = config->parties[party].host,
                                           .port = (uint16_t)(config->parties[party].port + offset),
                                           .as = offset == 0 ? NET_PEER_CLIENT : NET_PEER_PARTY};
    memcpy(endpoint.public_key, config->parties[party].key, sizeof endpoint.public_key);
    return endpoint;
}

/* intruder key CONFIG KEY PARTY OFFSET MILLISECONDS: that key, at that port. */
static int try_key(char **argv)
{
    struct base_error error = {0};
    struct party_config config;
    struct net_key key = {0};
    struct net_context *context = NULL;
    struct net_link *link = NULL;
    int code = 2;
    struct net_wait wait = {.timeout_ms = atoi(argv[6])};
    if (party_config_read(&config, argv[2], &error) != BASE_OK)
        return fail(&error);
    if (net_key_load(&key, argv[3], &error) == BASE_OK &&
        net_context_create(&context, &(struct net_context_config){.secret_key = key.secret}, &error) == BASE_OK) {
        struct net_endpoint_config endpoint = endpoint_of(&config, atoi(argv[4]), atoi(argv[5]));
        code = net_connect(context, &endpoint, &wait, &link, &error) == BASE_OK ? got_in("a link") : kept_out(error.text);
    } else {
        code = fail(&error);
    }
    net_link_destroy(&link);
    net_context_destroy(&context);
    net_key_finish(&key);
    party_config_finish(&config);
    return code;
}

/* A link to a party's port for clients and HELLO over it, as client number `own`, or as whoever `own` says. *ret_session: its id. */
static enum base_status meet(struct client *c, int party, int own, uint8_t ret_session[NET_FRAME_SESSION], struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct net_wait wait = {.timeout_ms = WAIT_MS};
    struct net_endpoint_config endpoint = endpoint_of(&c->config, party, NET_PORT_CLIENTS);
    struct net_hello_config hello = {.own_id = (uint8_t)own,
                                     .peer_id = (uint8_t)party,
                                     .fields = c->identity.fields,
                                     .field_count = c->identity.common_count};
    memcpy(hello.config_digest, c->identity.config_digest, sizeof hello.config_digest);
    net_link_destroy(&c->link[0]);
    TRY(net_connect(c->context, &endpoint, &wait, &c->link[0], error));
    net_link_set_timeout(c->link[0], WAIT_MS);
    TRY(net_hello(c->link[0], &hello, ret_session, error));
out:
    return status;
}

/* intruder id CONFIG KEY SHARES PARTY ID: a client of the config that says in HELLO that it is another end. */
static int try_id(char **argv)
{
    struct base_error error = {0};
    struct client c;
    uint8_t session[NET_FRAME_SESSION];
    if (client_open(&c, argv[2], argv[3], argv[4], &error) != BASE_OK)
        return fail(&error);
    int code = meet(&c, atoi(argv[5]), atoi(argv[6]), session, &error) == BASE_OK ? got_in("a session") : kept_out(error.text);
    client_close(&c);
    return code;
}

/* intruder session CONFIG KEY SHARES PARTY CLIENT: frames of the session before, behind the keys. */
static int try_session(char **argv)
{
    struct base_error error = {0};
    struct client c;
    uint8_t first[NET_FRAME_SESSION], second[NET_FRAME_SESSION], word[8] = {0};
    int party = atoi(argv[5]), own = FIRST_CLIENT + atoi(argv[6]), code;
    if (client_open(&c, argv[2], argv[3], argv[4], &error) != BASE_OK)
        return fail(&error);
    if (meet(&c, party, own, first, &error) != BASE_OK || meet(&c, party, own, second, &error) != BASE_OK)
        code = fail(&error);
    else if (memcmp(first, second, sizeof first) == 0)
        code = got_in("two sessions of one id");
    else {
        net_link_set_session(c.link[0], first);
        if (net_link_send(c.link[0], STEP, word, sizeof word, &error) == BASE_OK &&
            net_link_receive(c.link[0], STEP, word, sizeof word, &error) == BASE_OK)
            code = got_in("an answer");
        else
            code = kept_out(error.text);
    }
    client_close(&c);
    return code;
}

/* intruder large CONFIG KEY SHARES PARTY BYTES: an admitted client that sends a frame of BYTES. */
static int try_large(char **argv)
{
    struct base_error error = {0};
    struct client c;
    size_t size = (size_t)atoll(argv[6]);
    int timeout = WAIT_MS, zero = 0, code = 2;
    char address[300];
    if (client_open(&c, argv[2], argv[3], argv[4], &error) != BASE_OK)
        return fail(&error);
    struct net_endpoint_config endpoint = endpoint_of(&c.config, atoi(argv[5]), NET_PORT_CLIENTS);
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_DEALER), *monitor = zmq_socket(context, ZMQ_PAIR);
    uint8_t *bytes = calloc(1, size + NET_FRAME_HEADER), event[6] = {0};
    (void)snprintf(address, sizeof address, "tcp://%s:%u", endpoint.host, endpoint.port);
    if (bytes == NULL || zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, endpoint.public_key, NET_KEY_SIZE) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, c.key.public_key, NET_KEY_SIZE) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, c.key.secret, NET_KEY_SIZE) != 0 ||
        zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof timeout) != 0 || zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero) != 0 ||
        zmq_setsockopt(monitor, ZMQ_RCVTIMEO, &timeout, sizeof timeout) != 0 ||
        zmq_socket_monitor(socket, "inproc://events", ZMQ_EVENT_DISCONNECTED) != 0 || zmq_connect(monitor, "inproc://events") != 0 ||
        zmq_connect(socket, address) != 0)
        return 2;
    struct net_frame frame = {.kind = NET_FRAME_OPEN};
    net_frame_encode(&frame, bytes);
    if (zmq_send(socket, bytes, NET_FRAME_HEADER, 0) < 0 || zmq_recv(socket, bytes, NET_FRAME_HEADER, 0) != NET_FRAME_HEADER ||
        bytes[5] != NET_FRAME_ACCEPT || zmq_send(socket, bytes, size, 0) < 0)
        (void)fprintf(stderr, "intruder: %s takes no link: %s\n", endpoint.name, zmq_strerror(zmq_errno()));
    else if (zmq_recv(monitor, event, sizeof event, 0) == sizeof event)
        code = kept_out("the connection was ended");
    else
        code = got_in("the connection stands");
    (void)zmq_socket_monitor(socket, NULL, 0);
    (void)zmq_close(monitor);
    (void)zmq_close(socket);
    (void)zmq_ctx_term(context);
    free(bytes);
    client_close(&c);
    return code;
}

/* intruder hold PORT COUNT: so many connections, never a word, until it is told to end. What it cannot open now it opens later. */
static int hold(char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)atoi(argv[2]))};
    int count = atoi(argv[3]), *fds = calloc((size_t)count, sizeof *fds);
    struct rlimit limit;
    if (fds == NULL || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 2;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < count; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (fds[i] < 0)
            return 2;
        (void)connect(fds[i], (struct sockaddr *)&address, sizeof address);
    }
    (void)printf("held\n");
    (void)fflush(stdout);
    for (;; (void)usleep(20000))
        for (int i = 0; i < count; i++) {
            char greeting[64];
            ssize_t size = recv(fds[i], greeting, sizeof greeting, MSG_DONTWAIT);
            if (size > 0 || (size < 0 && errno == EAGAIN))
                continue; /* it stands, or is still to be taken */
            (void)close(fds[i]);
            fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
            (void)connect(fds[i], (struct sockaddr *)&address, sizeof address);
        }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int words;
        int (*run)(char **argv);
    } tries[] = {{"key", 7, try_key}, {"id", 7, try_id}, {"session", 7, try_session}, {"large", 7, try_large}, {"hold", 4, hold}};
    for (size_t i = 0; argc > 1 && i < sizeof tries / sizeof *tries; i++)
        if (strcmp(argv[1], tries[i].name) == 0 && argc == tries[i].words)
            return tries[i].run(argv);
    (void)fprintf(stderr, "intruder: no such try\n");
    return 2;
}
