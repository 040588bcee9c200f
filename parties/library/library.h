/* What the files of the client library share (parties/cachet.h). */
#ifndef CACHET_PARTIES_LIBRARY_LIBRARY_H
#define CACHET_PARTIES_LIBRARY_LIBRARY_H

#include "parties/cachet.h"
#include "engine/sampler.h"
#include "engine/tokenizer/tokenizer.h"
#include "parties/client.h"
#include "parties/library/stop_text.h"

#include <pthread.h>

enum job_state { JOB_WAITS, JOB_RUNS, JOB_ENDED };

struct cachet_job {
    struct cachet *client;
    struct cachet_job *next; /* in the queue */
    struct cachet_request request;
    uint8_t id[ENG_REQUEST_ID];
    char id_text[2 * ENG_REQUEST_ID + 1];
    /* Under the client's lock: */
    enum job_state state;
    bool cancelled;
    struct cachet_result result;
    struct cachet_error error; /* code CACHET_OK: none */
    /* The thread's own while it runs: */
    size_t slot;
    enum cachet_finish finish; /* how it has ended, while it waits in `ending` */
    struct base_error failure;
    bool is_void; /* a guard has reported a value in its prompt */
    struct eng_sampler sampler;
    struct stop_text stop;
    struct eng_utf8_stream utf8;
    int32_t last;
    double submitted, began, first, previous;
    size_t rows_done;
    size_t told_ahead; /* while it waits: what it was told last */
};

struct cachet {
    struct client client;
    struct eng_tokenizer *tokenizer; /* NULL: none */
    struct cachet_options options;
    struct cachet_model model;
    size_t slots;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock: */
    bool closing;
    bool gave_up; /* options.once: the only attempt has failed, or what it made has ended */
    enum cachet_code last_failure;
    struct cachet_job *queue; /* those that wait, the oldest first */
    struct cachet_state state;
    /* The thread's own: */
    struct cachet_job *running[ENG_SLOTS]; /* by slot */
    struct cachet_job *ending; /* have ended in the step under way: a list */
    size_t begun;              /* requests of the run under way */
    struct eng_remote remote;
    int64_t *logits, *squares; /* [slots][vocab], [slots] */
    double *normal;            /* [vocab] */
    int32_t *tokens;           /* [chunk, or slots] */
    uint64_t sent[3];          /* payload to each party in the run under way, as far as counted */
    bool last_was_prompt;      /* prompts and answers take turns */
};

/* The library's thread. */
void *library_run(void *client);
/* Serves requests until none is left; all links stand. Errors: what ended them. */
BASE_MUST_USE enum base_status library_serve(struct cachet *c, struct base_error *error);

void library_log(const struct cachet *c, int level, const struct cachet_job *job, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* An error as users of the library get it: its codes are the program's exit codes. ret may be NULL. */
enum cachet_code library_tell(struct cachet_error *ret, const struct base_error *error);
/* Under the lock: waits for a change, until `deadline` at most; false when that has passed. */
bool library_wait_until(struct cachet *c, int64_t deadline);
/* Takes the oldest waiting request that may run beside those of `inside` (or of either kind where nothing runs); NULL: none. */
struct cachet_job *library_take(struct cachet *c, bool any, bool inside);
/* Lets those go that were cancelled while they wait, and tells the others how many are ahead of them. */
void library_look_at_queue(struct cachet *c);
/* Tells a request how many are ahead of it, if it was not told yet. */
void library_tell_ahead(struct cachet_job *job, size_t ahead);
/* A request has ended: for good, nothing is called after it. */
void library_end(struct cachet *c, struct cachet_job *job, enum cachet_finish finish, const struct base_error *error);
bool library_closing(struct cachet *c);
bool library_cancelled(struct cachet *c, struct cachet_job *job);

#endif
