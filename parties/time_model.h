/* How long a request takes: on the network between the parties, and computing. What `cachet cost` predicts and `cachet bench` prints beside
 * what it measured. */
#ifndef CACHET_PARTIES_TIME_MODEL_H
#define CACHET_PARTIES_TIME_MODEL_H

#include "engine/cost.h"

/* Of any two ends. */
struct time_link {
    double rtt_ms; /* round trip */
    double mbit;   /* 10^6 bits per second each way */
};

/* A link as relay_link_parse takes it; one without a bandwidth has that of loopback. Errors: BASE_ERR_ARGUMENT. */
BASE_MUST_USE enum base_status time_link_parse(const char *text, struct time_link *ret, struct base_error *error);

/* What one machine does, all parties on it or each on one like it. */
struct time_machine {
    double weights_per_second; /* that one core multiplies by one row, as P1 and P2 do, while the others do the same */
    double rows_per_second;    /* weights times rows, where many rows are multiplied at once */
    unsigned cores;
    bool shared; /* the three parties run on this one machine */
};
/* Measures this machine: products of P1's kind on up to four cores at once, some tenths of a second. Errors: BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status time_machine_measure(struct time_machine *ret, struct base_error *error);

/* A prompt or some tokens after it. */
struct time_work {
    struct mpc_cost cost;
    struct eng_client_cost client;
    uint64_t weights; /* of layers and head, that each row is multiplied by */
    uint64_t rows;
    bool many; /* rows come in chunks, not one by one */
};
struct time_work time_of_prefill(const struct eng_cost *cost, const struct eng_model_shape *shape, size_t prompt);
/* Of all cost->steps tokens. */
struct time_work time_of_decode(const struct eng_cost *cost, const struct eng_model_shape *shape);

/* Seconds: rounds wait for half a round trip and carry bytes both ways at once; dealt bytes flow beside them on P0's two links; the
 * client's words wait a whole round trip. */
double time_on_link(const struct time_link *link, const struct time_work *work);
/* Seconds of products with the weights and of gates, by the bytes that were dealt for them; an estimate. */
double time_computing(const struct time_machine *machine, const struct time_work *work);

#endif
