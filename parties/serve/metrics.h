/* What Prometheus scrapes: counts and histograms of the gateway, and what the client library says about the parties.
 * Totals alone: no label and no value belongs to one request. */
#ifndef CACHET_PARTIES_SERVE_METRICS_H
#define CACHET_PARTIES_SERVE_METRICS_H

#include "base/status.h"
#include "parties/cachet.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

enum serve_outcome {
    SERVE_OUT_STOP,
    SERVE_OUT_LENGTH,
    SERVE_OUT_CANCELLED,
    SERVE_OUT_FAILED,
    SERVE_OUT_REFUSED,
    SERVE_OUTCOMES
};
enum serve_timing { SERVE_FIRST_TOKEN, SERVE_PER_TOKEN, SERVE_PROMPT, SERVE_WHOLE, SERVE_TIMINGS };
enum { SERVE_BUCKETS = 14, SERVE_CODES = 16 };

struct serve_histogram {
    uint64_t below[SERVE_BUCKETS + 1]; /* each value in the first that holds it; the last: above all */
    double sum;
};
struct serve_metrics {
    pthread_mutex_t mutex;
    uint64_t outcomes[SERVE_OUTCOMES];
    uint64_t answers[SERVE_CODES]; /* by HTTP status, in the order of the table in metrics.c */
    struct serve_histogram timings[SERVE_TIMINGS];
};

void serve_metrics_open(struct serve_metrics *ret);
void serve_metrics_close(struct serve_metrics *metrics);

void serve_metrics_answered(struct serve_metrics *metrics, int http_status);
void serve_metrics_outcome(struct serve_metrics *metrics, enum serve_outcome outcome);
void serve_metrics_timing(struct serve_metrics *metrics, enum serve_timing timing, double seconds);
/* Seconds of a request so far, the mean; 0: none has ended. */
double serve_metrics_mean_request(struct serve_metrics *metrics);

/* The text of GET /metrics, format 0.0.4. Free *ret_text with free. Errors: BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status serve_metrics_text(struct serve_metrics *metrics, const struct cachet_model *model,
                                                  const struct cachet_state *state, char **ret_text, size_t *ret_size,
                                                  struct base_error *error);

#endif
