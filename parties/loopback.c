#include "parties/loopback.h"

#include "engine/share_files.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT_LOW = 20000, PORT_SPAN = 12000, PORT_TRIES = 200 };

const char *loopback_end(int end)
{
    static const char *const names[LOOPBACK_ENDS] = {"p0", "p1", "p2", "client"};
    return names[end];
}

static bool ports_free(uint16_t base)
{
    bool free_all = true;
    for (int offset = 0; offset < PARTY_CONFIG_PORTS && free_all; offset++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)(base + offset)),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        free_all = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
        if (fd >= 0)
            (void)close(fd);
    }
    return free_all;
}

static enum base_status pick_ports(struct party_config *config, struct base_error *error)
{
    enum base_status status = BASE_OK;
    uint16_t base = (uint16_t)(PORT_LOW + randombytes_uniform(PORT_SPAN));
    int tries = 0;
    for (int i = party_config_first(config->mode); i < PARTY_CONFIG_PARTIES; i++, base = (uint16_t)(base + PARTY_CONFIG_PORTS)) {
        while (!ports_free(base) && tries++ < PORT_TRIES)
            base = (uint16_t)(base + PARTY_CONFIG_PORTS);
        TRY_THAT(tries < PORT_TRIES, error, BASE_ERR_IO, "no free ports on loopback between %d and %d",
                 PORT_LOW, (int)base);
        (void)snprintf(config->parties[i].host, sizeof config->parties[i].host, "127.0.0.1");
        config->parties[i].port = base;
    }
out:
    return status;
}

static enum base_status make_keys(struct party_config *config, const char *directory,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (int i = party_config_first(config->mode); i < LOOPBACK_ENDS; i++) {
        char path[ENG_PATH_MAX];
        struct net_key key = {0};
        TRY(eng_path_print(path, error, "%s/%s.key", directory, loopback_end(i)));
        status = net_key_generate(&key, error);
        if (status == BASE_OK)
            status = net_key_save(&key, path, error);
        memcpy(i < LOOPBACK_CLIENT ? config->parties[i].key : config->clients[0].key, key.public_key,
               NET_KEY_BYTES);
        net_key_finish(&key);
        TRY(status);
    }
    (void)snprintf(config->clients[0].name, sizeof config->clients[0].name, "local");
    config->client_count = 1;
out:
    return status;
}

enum base_status loopback_make(struct party_config *config, const struct loopback_form *form,
                               struct base_error *error)
{
    enum base_status status = BASE_OK;
    char path[ENG_PATH_MAX];
    TRY(make_keys(config, form->directory, error));
    TRY(pick_ports(config, error));
    (void)sodium_hex2bin(config->model.digest, sizeof config->model.digest, form->model, strlen(form->model),
                         NULL, NULL, NULL);
    TRY(eng_plan_digest(form->plan, config->model.plan, error));
    (void)snprintf(config->model.shares, sizeof config->model.shares, "%s", form->set);
    TRY(eng_path_print(path, error, "%s/config.yaml", form->directory));
    TRY(party_config_write(config, path, error));
out:
    return status;
}
