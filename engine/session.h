/* A party between its links: agrees on keys with its peers once, then serves runs of clients (engine/request.h) one after the other.
 *
 * P1 and P2 compute in step with the client. P0 deals for each order as soon as it has come, as far ahead as the client orders and the byte
 * limit of its links allows, and receives nothing from P1 and P2 but that they have left the run. Every run draws from fresh streams, derived
 * from keys to which both ends of a pair contributed. The same code runs over memory links (three roles in one process) and over TCP. */
#ifndef CACHET_ENGINE_SESSION_H
#define CACHET_ENGINE_SESSION_H

#include "engine/decoder.h"
#include "engine/request.h"

enum { ENG_SESSION_KEY = 32 };

struct eng_session_links {
    struct net_link *to[3]; /* the other two parties; the own entry is NULL */
};

/* One prompt with its answer. */
struct eng_slot {
    struct eng_decoder decoder;
    bool open;
    uint32_t prompt_tokens, new_tokens, rows; /* rows: those that it has been fed */
    uint8_t id[ENG_REQUEST_ID];
};

/* The public sizes of a text that material is made for, ahead of use or for one that is there. */
struct eng_text_form {
    uint32_t prompt_tokens, new_tokens, chunk;
    enum eng_request_mode mode;
};
/* A text's material: the keys under which a party draws all masks of it, which it shares with nobody (input: with the client, once the text is there). */
struct eng_text {
    enum eng_text_source source;
    uint32_t new_tokens; /* that it was made for: those of the form or more */
    uint32_t left;       /* of the form, that wait after it */
    uint8_t own[ENG_REQUEST_KEY], input[ENG_REQUEST_KEY]; /* secret */
};

/* Two parties without P0: what makes their material over the link between them (pair/, which stands beside this floor; parties/two.h). Both parties call
 * the same functions in one order. ret_refusal: what the client hears, alike at both, while the parties stay together; errors part them. */
struct eng_session_maker {
    /* The parties have met anew: base OTs and what follows from them. party: 1 or 2. session: alike at both. */
    enum base_status (*join)(void *context, int party, struct net_link *peer, const uint8_t session[16], struct base_error *error);
    /* After each join: whether there are weights to make ready, for the life of the model. If so the graph is walked once, of which nothing else is noted
     * until has_weights. */
    bool (*wants_weights)(void *context);
    void (*has_weights)(void *context);
    /* Wipes what was made and not used: a step was cut short, or a run has ended. */
    void (*drop)(void *context);
    /* A text made ahead of use: marked as used at both, on disk, when this returns; its steps come from `load`, in their order, each before it is computed.
     * Where there is none, ret->source says so, and each step is made (notes) before it is computed. */
    enum base_status (*take)(void *context, const struct eng_text_form *form, struct eng_text *ret, struct base_error *ret_refusal, struct base_error *error);
    enum base_status (*load)(void *context, size_t rows, size_t answers, struct base_error *error);
    /* Begins a text that is to be kept; keeps the step that was made; after the last one: it may be taken. */
    void (*begin)(void *context, const struct eng_text_form *form, const struct eng_text *text, struct base_error *ret_refusal);
    enum base_status (*keep)(void *context, size_t rows, size_t answers, struct base_error *ret_refusal, struct base_error *error);
    enum base_status (*end)(void *context, struct base_error *ret_refusal, struct base_error *error);
    const struct mpc_maker *notes, *reads; /* of the party ahead of time, and of the one that computes */
    struct mpc_source source;
    void *context;
};
struct eng_ahead;

/* What all streams of this meeting come from. */
struct eng_session_keys {
    uint8_t key1[ENG_SESSION_KEY],
        key2[ENG_SESSION_KEY],  /* with (P0, P1) and with (P0, P2), as far as the role holds them */
        key12[ENG_SESSION_KEY]; /* with (P1, P2): P0 does not hold it */
    unsigned forks;             /* base_forks when the session was made */
};

struct eng_session {
    struct eng_slot *slot; /* [slots] */
    size_t slots;
    struct mpc_strands *strands; /* where several slots take a token in one step; made at the first such step */
    struct mpc_party party;
    struct mpc_link_source source;
    struct eng_session_links links;
    struct eng_session_keys *keys; /* in locked memory */
    const struct eng_session_maker *maker; /* NULL: P0 deals */
    struct eng_ahead *ahead;
    uint64_t made, made_sent; /* bytes that both have sent to make the last step, and this party's part of them */
    uint64_t requests;
    bool parted[3];    /* P0: who has left the run */
    int64_t idle_ms;   /* [30000] how long a client may say nothing, not even a ping, before its next request; to P1 and P2, before its next order */
    /* Told of every slot that opens or closes, with its id, in a run of whichever client; those open at the end of a run close then. NULL: nobody. */
    void (*told)(void *context, const struct eng_order *order);
    void *told_context;
    bool made_up_rows; /* takes requests that begin with made-up cached rows */
    int (*cancelled)(void *context); /* non-zero ends a wait for the client; NULL: never */
    void *cancel_context;
};

/* Makes the slots' decoders (1 to ENG_SLOTS) and the work area. The session must stay where it is while it lives. */
BASE_MUST_USE enum base_status eng_session_init(struct eng_session *ret, enum mpc_role role,
                                                struct eng_decoder_form form, size_t slots,
                                                const struct kern_table *kern, struct base_error *error);
void eng_session_finish(struct eng_session *session);

/* P1 or P2 without P0, before it joins: links.to[0] is NULL then, and so is the client's to P0. maker: borrowed. Errors: BASE_ERR_SUPPORT (more than one slot),
 * BASE_ERR_ARGUMENT (a plan of three parties). */
BASE_MUST_USE enum base_status eng_session_set_maker(struct eng_session *session, const struct eng_session_maker *maker,
                                                     struct base_error *error);

/* Takes fresh links to the other parties (borrowed) and agrees on the keys of this meeting. Cost: 32 bytes
 * each way with each of them. */
BASE_MUST_USE enum base_status eng_session_join(struct eng_session *session,
                                                const struct eng_session_links *links,
                                                struct base_error *error);
/* Given keys instead of agreed ones: for runs that must be repeated bit for bit. */
void eng_session_set_keys(struct eng_session *session, const uint8_t key1[ENG_SESSION_KEY],
                          const uint8_t key2[ENG_SESSION_KEY], const uint8_t key12[ENG_SESSION_KEY]);

/* What came of serving a client. */
struct eng_served {
    bool joined; /* the links to the other parties still stand */
    bool ran;    /* there was a run, not only pings before the client went */
    struct eng_usage usage;
};
/* Serves one run of a client, and pings before it. A request that must be refused costs the client its link, nothing else; so does a client that
 * goes in the middle, orders what makes no sense, or leaves this party waiting (idle_ms). One that gives P1 and P2 different orders parts them.
 * Any other failure after the start tells every peer and ends the links to them, and the parties have to join again. Errors:
 * BASE_ERR_ARGUMENT (refused), BASE_ERR_CLOSED (the client is gone), and those of links and gates. */
BASE_MUST_USE enum base_status eng_session_serve(struct eng_session *session, struct net_link *client, struct eng_served *ret,
                                                 struct base_error *error);

#endif
