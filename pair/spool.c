#include "pair/spool.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = 4096, NAME = 2 * PAIR_TEXT_ID };
static const char ending[] = ".text", partial[] = ".text.partial";

static void path_of(const struct pair_spool *s, const uint8_t id[PAIR_TEXT_ID], char ret[PATH_ROOM])
{
    char hex[NAME + 1];
    (void)sodium_bin2hex(hex, sizeof hex, id, PAIR_TEXT_ID);
    (void)snprintf(ret, PATH_ROOM, "%s/%s%s", s->config.directory, hex, ending);
}

static bool fits(const struct pair_text_form *made, const struct pair_text_form *wanted)
{
    return made->prompt_tokens == wanted->prompt_tokens && made->chunk == wanted->chunk && made->mode == wanted->mode && made->new_tokens >= wanted->new_tokens;
}

size_t pair_spool_waiting(const struct pair_spool *s, const struct pair_text_form *form)
{
    size_t count = 0;
    for (size_t i = 0; i < s->count; i++)
        count += fits(&s->text[i].form, form);
    return count;
}

void pair_spool_describe(const struct pair_spool *s, char *ret, size_t size)
{
    size_t used = 0;
    (void)snprintf(ret, size, "none");
    for (size_t i = 0; i < s->count && used < size; i++) {
        const struct pair_text_form *form = &s->text[i].form;
        size_t same = 0, before = 0;
        for (size_t j = 0; j < s->count; j++)
            if (memcmp(&s->text[j].form, form, sizeof *form) == 0) {
                same++;
                before += j < i;
            }
        if (before > 0)
            continue;
        int more = snprintf(ret + used, size - used, "%s%u+%u (%zu)", used > 0 ? ", " : "", form->prompt_tokens, form->new_tokens, same);
        used += more > 0 ? (size_t)more : 0;
    }
}

static enum base_status add(struct pair_spool *s, const struct pair_text_about *about, struct base_error *error)
{
    enum base_status status = base_grow(&s->text, &s->room, s->count + 1, sizeof *s->text, error);
    if (status == BASE_OK)
        s->text[s->count++] = *about;
    return status;
}

/* --- the folder ------------------------------------------------------------------------------------------------------------------------ */

static enum base_status open_folder(struct pair_spool *s, bool makes, struct base_error *error)
{
    const char *path = s->config.directory;
    enum base_status status = BASE_OK;
    struct stat about;
    if (makes && mkdir(path, 0700) != 0 && errno != EEXIST)
        return base_fail(error, BASE_ERR_IO, "%s: cannot be made: %s", path, strerror(errno));
    s->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->lock < 0 || fstat(s->lock, &about) != 0)
        return base_fail(error, BASE_ERR_IO, "%s: cannot be opened as a folder: %s", path, strerror(errno));
    TRY_THAT(about.st_uid == geteuid() && (about.st_mode & 077) == 0, error, BASE_ERR_MISMATCH,
             "%s: others than this user may look into it (mode %03o), and what a party makes ahead of use is secret: chmod 700, or choose another folder", path,
             (unsigned)about.st_mode & 0777);
    TRY_THAT(!makes || flock(s->lock, LOCK_EX | LOCK_NB) == 0, error, BASE_ERR_CLOSED,
             "%s: another process uses it: each party needs a folder of its own", path);
out:
    return status;
}

/* Sets a file aside: it stays where it is. */
static void set_aside(struct pair_spool *s, const struct base_error *why)
{
    s->aside++;
    base_log_write(s->config.log, BASE_LOG_WARNING, NULL, "material is set aside: %s", why->text);
}

static enum base_status check_text(const struct pair_spool *s, const char *path, const char *name, const struct pair_text_about *about, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char hex[NAME + 1];
    (void)sodium_bin2hex(hex, sizeof hex, about->id, sizeof about->id);
    TRY_THAT(strncmp(name, hex, NAME) == 0, error, BASE_ERR_FORMAT, "%s: holds text %s: it is a copy under another name; remove it", path, hex);
    TRY_THAT(about->party == s->config.party, error, BASE_ERR_MISMATCH, "%s: is P%d's part of a text, and this is P%d: remove it", path, about->party,
             s->config.party);
    TRY_THAT(memcmp(about->owner, s->config.owner, sizeof about->owner) == 0, error, BASE_ERR_MISMATCH,
             "%s: was made for another model, plan, share set, policy, context or build than this party runs: remove it, or run what it was made for", path);
out:
    return status;
}

/* One file of the folder. */
static enum base_status look_at(struct pair_spool *s, const char *name, bool cleans, struct base_error *error)
{
    char path[PATH_ROOM];
    size_t length = strlen(name);
    struct pair_text_about about;
    struct base_error why = {0};
    bool used = false;
    if (length <= NAME || strspn(name, "0123456789abcdef") != NAME || (strcmp(name + NAME, ending) != 0 && strcmp(name + NAME, partial) != 0))
        return BASE_OK;
    (void)snprintf(path, sizeof path, "%s/%s", s->config.directory, name);
    if (strcmp(name + NAME, partial) == 0) {
        if (cleans)
            (void)unlink(path);
        return BASE_OK;
    }
    enum base_status status = pair_text_look(path, s->config.key, &about, &used, &why);
    if (status == BASE_OK && used) {
        if (cleans)
            (void)unlink(path);
        return BASE_OK;
    }
    if (status == BASE_OK)
        status = check_text(s, path, name, &about, &why);
    if (status == BASE_OK && s->count < PAIR_SPOOL_MOST)
        return add(s, &about, error);
    if (status == BASE_OK)
        (void)base_fail(&why, BASE_ERR_RANGE, "%s: there are %d texts before it: remove it", path, PAIR_SPOOL_MOST);
    set_aside(s, &why);
    return BASE_OK;
}

static int by_id(const void *a, const void *b)
{
    const struct pair_text_about *left = a, *right = b;
    return memcmp(left->id, right->id, sizeof left->id);
}

/* What the folder holds, in the order of ids. */
static enum base_status scan(struct pair_spool *s, bool cleans, struct base_error *error)
{
    enum base_status status = BASE_OK;
    s->count = s->aside = 0;
    DIR *folder = opendir(s->config.directory);
    if (folder == NULL)
        return base_fail(error, BASE_ERR_IO, "%s: cannot be read: %s", s->config.directory, strerror(errno));
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        TRY(look_at(s, entry->d_name, cleans, error));
    if (s->count > 1)
        qsort(s->text, s->count, sizeof *s->text, by_id);
out:
    (void)closedir(folder);
    return status;
}

static enum base_status begin(struct pair_spool *ret, const struct pair_spool_config *config, bool makes, struct base_error *error)
{
    enum base_status status = BASE_OK;
    *ret = (struct pair_spool){.config = *config, .lock = -1};
    if (config->directory == NULL)
        return BASE_OK;
    TRY_THAT(strlen(config->directory) + sizeof partial + NAME + 2 < PATH_ROOM, error, BASE_ERR_ARGUMENT, "the path %.40s... is too long", config->directory);
    TRY(open_folder(ret, makes, error));
    TRY(scan(ret, makes, error));
    return BASE_OK;
out:
    pair_spool_close(ret);
    return status;
}

enum base_status pair_spool_open(struct pair_spool *ret, const struct pair_spool_config *config, struct base_error *error)
{
    return begin(ret, config, true, error);
}

enum base_status pair_spool_survey(struct pair_spool *ret, const struct pair_spool_config *config, struct base_error *error)
{
    return begin(ret, config, false, error);
}

void pair_spool_close(struct pair_spool *s)
{
    pair_spool_abandon(s);
    if (s->lock >= 0)
        (void)close(s->lock);
    s->lock = -1;
    base_free(&s->text);
    s->count = s->room = 0;
    base_wipe(s->config.key, sizeof s->config.key);
    s->config.directory = NULL;
}

/* --- with the peer --------------------------------------------------------------------------------------------------------------------- */

static enum base_status exchange(struct pair_party *p, const void *mine, size_t size, void *theirs, size_t theirs_size, struct base_error *error)
{
    enum base_status status;
    TRY(pair_put_bytes(p, mine, size, error));
    TRY(pair_await_bytes(p, theirs, theirs_size, error));
    TRY(pair_exchange(p, error));
out:
    return status;
}

/* Keeps what both have; the other ids are the peer's, in order. */
static void keep_common(struct pair_spool *s, const uint8_t *ids, size_t count)
{
    size_t kept = 0, place = 0;
    for (size_t i = 0; i < s->count; i++) {
        while (place < count && memcmp(ids + place * PAIR_TEXT_ID, s->text[i].id, PAIR_TEXT_ID) < 0)
            place++;
        if (place < count && memcmp(ids + place * PAIR_TEXT_ID, s->text[i].id, PAIR_TEXT_ID) == 0) {
            s->text[kept++] = s->text[i];
            continue;
        }
        char path[PATH_ROOM];
        struct base_error why = {0};
        path_of(s, s->text[i].id, path);
        (void)base_fail(&why, BASE_ERR_MISMATCH,
                        "%s: the other party does not have its part: remove it, unless that party's folder is only not there now", path);
        set_aside(s, &why);
    }
    s->count = kept;
}

enum base_status pair_spool_meet(struct pair_spool *s, struct pair_party *p, struct base_error *error)
{
    enum base_status status = BASE_OK;
    uint8_t mine[8], theirs[8], *own = NULL, *ids = NULL;
    bool has = s->config.directory != NULL;
    pair_spool_abandon(s);
    memcpy(s->session, p->session, sizeof s->session);
    s->made = 0;
    s->both = false;
    if (has)
        TRY(scan(s, true, error));
    base_store_u32(mine, has);
    base_store_u32(mine + 4, (uint32_t)s->count);
    BASE_FAIL_SEND("pair.spool.meet");
    TRY(exchange(p, mine, sizeof mine, theirs, sizeof theirs, error));
    size_t count = base_load_u32(theirs + 4);
    TRY_THAT(base_load_u32(theirs) <= 1 && count <= PAIR_SPOOL_MOST, error, BASE_ERR_PEER, "%s: says that it has %zu texts: %d at most",
             net_link_peer(p->link), count, PAIR_SPOOL_MOST);
    s->both = has && base_load_u32(theirs) == 1;
    TRY(base_alloc(&own, s->count * PAIR_TEXT_ID + 1, 1, error));
    TRY(base_alloc(&ids, count * PAIR_TEXT_ID + 1, 1, error));
    for (size_t i = 0; i < s->count; i++)
        memcpy(own + i * PAIR_TEXT_ID, s->text[i].id, PAIR_TEXT_ID);
    if (s->both)
        TRY(exchange(p, own, s->count * PAIR_TEXT_ID, ids, count * PAIR_TEXT_ID, error));
    if (s->both)
        keep_common(s, ids, count);
    else
        s->count = 0;
out:
    base_free(&own);
    base_free(&ids);
    return status;
}

/* The text that fits best; count where there is none. */
static size_t find(const struct pair_spool *s, const struct pair_text_form *form)
{
    size_t best = s->count;
    for (size_t i = 0; i < s->count; i++)
        if (fits(&s->text[i].form, form) && (best == s->count || s->text[i].form.new_tokens < s->text[best].form.new_tokens))
            best = i;
    return best;
}

enum base_status pair_spool_take(struct pair_spool *s, struct pair_party *p, const struct pair_text_form *form, struct pair_text *ret,
                                 struct pair_text_keys *ret_keys, struct base_error *error)
{
    enum base_status status = BASE_OK;
    *ret = (struct pair_text){0};
    while (pair_spool_works(s) && find(s, form) < s->count) {
        size_t place = find(s, form);
        char path[PATH_ROOM];
        struct base_error why = {0};
        uint8_t mine[PAIR_TEXT_ID + 4], theirs[PAIR_TEXT_ID + 4];
        path_of(s, s->text[place].id, path);
        memcpy(mine, s->text[place].id, PAIR_TEXT_ID);
        memmove(s->text + place, s->text + place + 1, (--s->count - place) * sizeof *s->text);
        bool good = pair_text_use(ret, path, s->config.key, ret_keys, &why) == BASE_OK;
        if (!good)
            set_aside(s, &why);
        base_store_u32(mine + PAIR_TEXT_ID, good);
        BASE_FAIL_SEND("pair.spool.take");
        TRY(exchange(p, mine, sizeof mine, theirs, sizeof theirs, error));
        TRY_THAT(memcmp(mine, theirs, PAIR_TEXT_ID) == 0, error, BASE_ERR_MISMATCH, "%s: takes another text than this party", net_link_peer(p->link));
        if (good && base_load_u32(theirs + PAIR_TEXT_ID) == 1) {
            base_log_write(s->config.log, BASE_LOG_INFO, NULL, "uses %s: %zu more texts wait", path, s->count);
            return BASE_OK;
        }
        if (good)
            base_log_write(s->config.log, BASE_LOG_WARNING, NULL, "%s could not use its part of %s: both drop it", net_link_peer(p->link), path);
        pair_text_finish(ret);
        base_wipe(ret_keys, sizeof *ret_keys);
    }
out:
    if (status != BASE_OK) {
        pair_text_finish(ret);
        base_wipe(ret_keys, sizeof *ret_keys);
    }
    return status;
}

/* --- making ---------------------------------------------------------------------------------------------------------------------------- */

void pair_spool_abandon(struct pair_spool *s)
{
    pair_text_finish(&s->making);
    s->failure = (struct base_error){0};
}

void pair_spool_begin(struct pair_spool *s, const struct pair_text_form *form, const struct pair_text_keys *keys, struct base_error *ret_refusal)
{
    static const char label[] = "cachet text id 1";
    struct pair_text_about about = {.party = s->config.party, .form = *form};
    uint8_t input[sizeof label - 1 + 8];
    char path[PATH_ROOM];
    pair_spool_abandon(s);
    if (!pair_spool_works(s)) {
        (void)base_fail(ret_refusal, BASE_ERR_ARGUMENT, "%s without a spool, so there is no place for material: start both parties with --spool DIR",
                        s->config.directory == NULL ? "this party was started" : "the other party was started");
        return;
    }
    if (s->count >= s->config.most) {
        (void)base_fail(ret_refusal, BASE_ERR_ARGUMENT, "the spool is full: %zu texts wait, and spool.most is %u", s->count, s->config.most);
        return;
    }
    memcpy(about.owner, s->config.owner, sizeof about.owner);
    memcpy(input, label, sizeof label - 1);
    base_store_u64(input + sizeof label - 1, s->made++);
    (void)crypto_generichash(about.id, sizeof about.id, input, sizeof input, s->session, sizeof s->session);
    path_of(s, about.id, path);
    s->failure.code = pair_text_create(&s->making, path, s->config.key, &about, keys, &s->failure);
}

/* Both hear how it went for both. */
static enum base_status agree(const struct pair_spool *s, struct pair_party *p, struct base_error *ret_refusal, struct base_error *error)
{
    enum { TEXT = 252 };
    enum base_status status;
    uint8_t mine[4 + TEXT] = {0}, theirs[4 + TEXT];
    char text[TEXT];
    base_store_u32(mine, (uint32_t)s->failure.code);
    (void)snprintf((char *)mine + 4, TEXT, "%.251s", s->failure.text);
    BASE_FAIL_SEND("pair.spool.agree");
    TRY(exchange(p, mine, sizeof mine, theirs, sizeof theirs, error));
    uint32_t code = base_load_u32(theirs);
    TRY_THAT(code <= BASE_ERR_INTERNAL, error, BASE_ERR_PEER, "%s: a status of %u: must be 0 to %d", net_link_peer(p->link), code, BASE_ERR_INTERNAL);
    base_text_clean(text, sizeof text, (const char *)theirs + 4, strnlen((const char *)theirs + 4, TEXT));
    if (s->failure.code != BASE_OK)
        (void)base_fail(ret_refusal, s->failure.code, "%s", s->failure.text);
    else if (code != BASE_OK)
        (void)base_fail(ret_refusal, (enum base_status)code, "%s could not keep its part of the material: %s", net_link_peer(p->link), text);
out:
    return status;
}

enum base_status pair_spool_keep(struct pair_spool *s, struct pair_party *p, struct pair_tape *tape, size_t rows, size_t answers,
                                 struct base_error *ret_refusal, struct base_error *error)
{
    enum base_status status;
    if (s->failure.code == BASE_OK)
        s->failure.code = pair_text_keep(&s->making, tape, rows, answers, &s->failure);
    pair_tape_drop(tape);
    TRY(agree(s, p, ret_refusal, error));
out:
    if (status != BASE_OK || ret_refusal->code != BASE_OK)
        pair_spool_abandon(s);
    return status;
}

enum base_status pair_spool_end(struct pair_spool *s, struct pair_party *p, struct base_error *ret_refusal, struct base_error *error)
{
    enum base_status status;
    struct pair_text_about about = s->making.about;
    char path[PATH_ROOM];
    path_of(s, about.id, path);
    s->failure.code = pair_text_close(&s->making, &s->failure);
    TRY(agree(s, p, ret_refusal, error));
    if (ret_refusal->code == BASE_OK)
        s->failure.code = pair_text_place(&s->making, &s->failure);
    if (ret_refusal->code == BASE_OK)
        TRY(agree(s, p, ret_refusal, error));
    if (ret_refusal->code == BASE_OK) {
        TRY(add(s, &about, error));
        base_log_write(s->config.log, BASE_LOG_INFO, NULL, "has made %s: %u prompt tokens, %u new ones; %zu texts wait", path, about.form.prompt_tokens,
                       about.form.new_tokens, s->count);
    } else /* one of the two may have it in its place */
        (void)unlink(path);
out:
    pair_spool_abandon(s);
    return status;
}
