#include "base/clock.h"

#include <time.h>

int64_t base_clock_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

double base_clock_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double base_thread_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double base_cpu_seconds(void)
{
    struct timespec used;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
}

int64_t base_deadline_after(int64_t timeout_ms)
{
    int64_t now = base_clock_ms();
    if (timeout_ms < 0)
        timeout_ms = 0;
    return timeout_ms > INT64_MAX - now ? INT64_MAX : now + timeout_ms;
}

int base_deadline_left(int64_t deadline_ms, int most)
{
    int64_t left = deadline_ms - base_clock_ms();
    if (left <= 0)
        return 0;
    return left < most ? (int)left : most;
}

void base_sleep_ms(int milliseconds)
{
    if (milliseconds <= 0)
        return;
    struct timespec pause = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L};
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}
