/* Fuzzes what reads key files. The first byte says whether the input is the file as it is, or edits (a place, a value) of a good file whose secret key is
 * the 32 bytes before them: so the fuzzer gets behind the format and the sum of the two keys. */
#include "tests/fuzz/scratch_file.h"

#include "base/memory.h"
#include "net/keys.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_ROOM = 256, CLUE = 8 /* characters of a key that no error may show */ };

static void write_file(const uint8_t *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    check(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

static size_t edited(const uint8_t *data, size_t size, char ret[FILE_ROOM], char secret_text[NET_KEY_TEXT])
{
    uint8_t secret[NET_KEY_BYTES] = {0}, public_key[NET_KEY_BYTES];
    char public_text[NET_KEY_TEXT];
    size_t first = size < sizeof secret ? size : sizeof secret;
    memcpy(secret, data, first);
    check(crypto_scalarmult_base(public_key, secret) == 0);
    check(zmq_z85_encode(public_text, public_key, sizeof public_key) != NULL && zmq_z85_encode(secret_text, secret, sizeof secret) != NULL);
    int length = snprintf(ret, FILE_ROOM, "cachet key 1\npublic %s\nsecret %s\n", public_text, secret_text);
    check(length > 0 && length < FILE_ROOM);
    for (size_t at = first; at + 1 < size; at += 2)
        ret[data[at] % length] = (char)data[at + 1];
    return (size_t)length;
}

/* secret_text: of a good file before its edits; NULL: not known. Nothing of it is in an error. */
static void read_key(const char *secret_text)
{
    struct net_key key = {0};
    struct base_error error = {0};
    enum base_status status = net_key_load(&key, path, &error);
    check((status == BASE_OK) == (error.text[0] == '\0') && error.code == status && strchr(error.text, '\n') == NULL);
    if (status != BASE_OK) {
        check(key.secret == NULL && (status == BASE_ERR_FORMAT || status == BASE_ERR_IO));
        for (size_t at = 0; secret_text != NULL && at + CLUE < NET_KEY_TEXT; at++)
            check(memmem(error.text, strlen(error.text), secret_text + at, CLUE) == NULL);
        return;
    }
    uint8_t derived[NET_KEY_BYTES];
    check(crypto_scalarmult_base(derived, key.secret) == 0 && memcmp(derived, key.public_key, sizeof derived) == 0);
    net_key_finish(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char file[FILE_ROOM], secret_text[NET_KEY_TEXT] = "";
    if (size < 1)
        return 0;
    make_file();
    bool raw = (data[0] & 1) == 0;
    size_t length = raw ? size - 1 : edited(data + 1, size - 1, file, secret_text);
    const uint8_t *content = raw ? data + 1 : (const uint8_t *)file;
    write_file(content, length);
    read_key(raw ? NULL : secret_text);
    /* A public key as people paste it. */
    char text[FILE_ROOM];
    uint8_t public_key[NET_KEY_BYTES];
    size_t shown = length < sizeof text - 1 ? length : sizeof text - 1;
    memcpy(text, content, shown);
    text[shown] = '\0';
    if (net_key_parse_text(text, public_key, NULL) == BASE_OK) {
        char again[NET_KEY_TEXT];
        net_key_write_text(public_key, again);
        check(strlen(text) == NET_KEY_TEXT - 1);
    }
    return 0;
}
