/* Time for deadlines: the monotonic clock, so that a step of the wall clock never ends or prolongs a wait. */
#ifndef CACHET_BASE_CLOCK_H
#define CACHET_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds since an arbitrary start; never goes back. */
int64_t base_clock_ms(void);

/* Seconds since an arbitrary start, for measuring durations. */
double base_clock_seconds(void);

/* Seconds of processor time that all threads of this process have used. */
double base_cpu_seconds(void);

/* Seconds of processor time that this thread has used. */
double base_thread_seconds(void);

/* The moment `timeout_ms` from now (a negative timeout counts as none left), capped so that it cannot
 * overflow. */
int64_t base_deadline_after(int64_t timeout_ms);

/* Milliseconds until `deadline_ms`: 0 when it has passed, at most `most`. Fits what poll functions take. */
int base_deadline_left(int64_t deadline_ms, int most);

/* Sleeps up to `milliseconds`; a signal may end it early. */
void base_sleep_ms(int milliseconds);

#endif
