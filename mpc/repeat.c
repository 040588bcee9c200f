/* Compiled into the test build alone. */
#include "mpc/repeat.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 16 /* a power of two */, MOST = ROOM / 4 * 3 /* streams */ };

/* A stream at one holder. */
struct drawn {
    uint64_t key; /* its fingerprint; 0: a free place */
    const struct mpc_stream *holder;
    uint64_t last;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct drawn table[ROOM];
static size_t used;
static uint8_t secret[crypto_shorthash_KEYBYTES];

static struct drawn *find(uint64_t key, const struct mpc_stream *holder)
{
    size_t at = (size_t)(key ^ (uintptr_t)holder >> 4) & (ROOM - 1);
    while (table[at].key != 0 && (table[at].key != key || table[at].holder != holder))
        at = (at + 1) & (ROOM - 1);
    return &table[at];
}

static uint64_t fingerprint(const uint8_t key[16])
{
    uint64_t ret;
    if (sodium_is_zero(secret, sizeof secret))
        crypto_shorthash_keygen(secret);
    (void)crypto_shorthash((unsigned char *)&ret, key, 16, secret);
    return ret | 1;
}

/* Draws under one key must not be lost in silence either. */
static void forget_all(void)
{
    (void)fprintf(stderr, "cachet: a test build has drawn from %d streams and forgets them: a repeat of one of those is not seen\n", MOST);
    memset(table, 0, sizeof table);
    used = 0;
}

void mpc_repeat_watch(const struct mpc_stream *stream)
{
    /* The first round key is the key. Under a key of zeros nothing is masked: weights are walked so (engine/session_pair.c). */
    if (sodium_is_zero(stream->key.round[0], sizeof stream->key.round[0]))
        return;
    (void)pthread_mutex_lock(&lock);
    uint64_t key = fingerprint(stream->key.round[0]);
    struct drawn *drawn = find(key, stream);
    if (drawn->key == 0 && used == MOST) {
        forget_all();
        drawn = find(key, stream);
    }
    if (drawn->key != 0 && stream->counter <= drawn->last) {
        (void)fprintf(stderr, "cachet: a mask is drawn twice: draw %llu of a stream comes after its draw %llu\n", (unsigned long long)stream->counter,
                      (unsigned long long)drawn->last);
        abort();
    }
    used += drawn->key == 0;
    *drawn = (struct drawn){key, stream, stream->counter};
    (void)pthread_mutex_unlock(&lock);
}
