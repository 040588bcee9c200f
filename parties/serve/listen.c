#include "parties/serve/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 128 };

static enum base_status resolve(const char *address, struct addrinfo **ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char host[256];
    const char *colon = strrchr(address, ':'), *begin = address;
    unsigned port;
    char after;
    TRY_THAT(colon != NULL && strspn(colon + 1, "0123456789") == strlen(colon + 1) &&
                 sscanf(colon + 1, "%5u%c", &port, &after) == 1 && port <= 65535,
             error, BASE_ERR_ARGUMENT,
             "--listen is \"%.80s\": must be HOST:PORT with a port from 0 to 65535, as 127.0.0.1:8080", address);
    size_t size = (size_t)(colon - address);
    if (size >= 2 && begin[0] == '[' && begin[size - 1] == ']') {
        begin++;
        size -= 2;
    }
    TRY_THAT(size > 0 && size < sizeof host, error, BASE_ERR_ARGUMENT,
             "--listen is \"%.80s\": the host is missing (127.0.0.1: this machine alone, 0.0.0.0: every address)",
             address);
    memcpy(host, begin, size);
    host[size] = '\0';
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int code = getaddrinfo(host, colon + 1, &hints, ret);
    TRY_THAT(code == 0, error, BASE_ERR_ARGUMENT, "--listen is \"%.80s\": the host cannot be found: %s", address,
             gai_strerror(code));
out:
    return status;
}

static bool is_local(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 == 127;
    return address->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static void write_url(struct serve_listen *listen)
{
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    char host[64] = "", port[8] = "";
    (void)getsockname(listen->socket, (struct sockaddr *)&bound, &size);
    (void)getnameinfo((struct sockaddr *)&bound, size, host, sizeof host, port, sizeof port,
                      NI_NUMERICHOST | NI_NUMERICSERV);
    (void)snprintf(listen->url, sizeof listen->url, listen->ipv6 ? "http://[%s]:%s" : "http://%s:%s", host, port);
}

enum base_status serve_listen_check(const char *address, bool *ret_local, struct base_error *error)
{
    struct addrinfo *found = NULL;
    enum base_status status = resolve(address, &found, error);
    if (status == BASE_OK) {
        *ret_local = is_local(found->ai_addr);
        freeaddrinfo(found);
    }
    return status;
}

enum base_status serve_listen_open(struct serve_listen *ret, const char *address, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct addrinfo *found = NULL;
    const int yes = 1;
    ret->socket = -1;
    TRY(resolve(address, &found, error));
    ret->ipv6 = found->ai_family == AF_INET6;
    ret->local = is_local(found->ai_addr);
    ret->socket = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    TRY_THAT(ret->socket >= 0 && setsockopt(ret->socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
                 bind(ret->socket, found->ai_addr, found->ai_addrlen) == 0 && listen(ret->socket, BACKLOG) == 0,
             error, BASE_ERR_IO, "cannot listen on %.80s: %s (choose another address or port with --listen)", address,
             strerror(errno));
    write_url(ret);
out:
    if (found != NULL)
        freeaddrinfo(found);
    if (status != BASE_OK)
        serve_listen_close(ret);
    return status;
}

void serve_listen_close(struct serve_listen *listen)
{
    if (listen->socket >= 0)
        (void)close(listen->socket);
    listen->socket = -1;
}
