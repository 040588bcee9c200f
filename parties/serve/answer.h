/* What the client library's thread hands to the thread of a connection: tokens in a bounded queue, how far the prompt
 * is, the end. The library's thread never waits here. */
#ifndef CACHET_PARTIES_SERVE_ANSWER_H
#define CACHET_PARTIES_SERVE_ANSWER_H

#include "base/status.h"
#include "parties/cachet.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { SERVE_QUEUE_BYTES = 64 * 1024, SERVE_MOST_TEXT = 8 * 1024, SERVE_HANGUP_MS = 50 };

struct serve_answer {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* Under the mutex: records of a token and its text, one after the other. */
    char *queue;
    size_t begin, end;
    double last_taken; /* when the queue was last empty or read from */
    double patience;   /* seconds that a full queue may stay unread */
    bool ended, too_slow, has_progress;
    struct cachet_progress progress;
    /* The reader's alone: when it looks at the socket again; the text of the token that it took last. */
    int64_t next_look;
    char text[SERVE_MOST_TEXT];
};

BASE_MUST_USE enum base_status serve_answer_open(struct serve_answer *ret, double patience, struct base_error *error);
/* After the job has been released. */
void serve_answer_close(struct serve_answer *answer);
/* Puts the callbacks into a request. */
void serve_answer_attach(struct serve_answer *answer, struct cachet_request *request);

enum serve_event {
    SERVE_TOKEN,    /* *ret_token; its text stays until the next call */
    SERVE_ENDED,    /* and every token has been taken */
    SERVE_QUIET,    /* nothing for `quiet_ms` */
    SERVE_TOO_SLOW, /* this reader did not take the tokens in time; the request has been cancelled */
    SERVE_HUNG_UP,  /* the connection's other side is gone */
    SERVE_STOPPING, /* *stopping became true */
};
/* Waits for the next of them, and looks at the socket every SERVE_HANGUP_MS. */
enum serve_event serve_answer_next(struct serve_answer *answer, int socket, const atomic_bool *stopping, int quiet_ms,
                                   struct cachet_token *ret_token);
/* How far the request is; false: not known yet. */
bool serve_answer_progress(struct serve_answer *answer, struct cachet_progress *ret);

#endif
