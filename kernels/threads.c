#include "kernels/threads.h"

#include "kernels/internal.h"

#include <sched.h>

static int thread_count = 1;

void kern_set_threads(int count)
{
#ifdef _OPENMP
    thread_count = count < 1 ? 1 : count;
#else
    (void)count;
#endif
}

int kern_threads(void)
{
    return thread_count;
}

int kern_cores(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < 1 ? 1 : count;
}

void kern_over_threads(size_t count, size_t least, kern_range_fn run, void *context)
{
    size_t parts = least == 0 ? count : count / least;
    if (parts > (size_t)thread_count)
        parts = (size_t)thread_count;
    if (parts <= 1) {
        run(context, 0, count);
        return;
    }
#ifdef _OPENMP
#pragma omp parallel for num_threads((int)parts) schedule(static, 1)
#endif
    for (size_t i = 0; i < parts; i++)
        run(context, count * i / parts, count * (i + 1) / parts);
}

/* Words of w that a thread must have for its start to be worth it. */
enum { LEAST_WORDS = 1 << 14, ROWS_TOGETHER = 4 };

struct gemm_job {
    const struct kern_table *table;
    enum kern_word word;
    uint64_t *y;
    size_t y_stride, a_stride, rows, w_stride, outs, inner;
    const void *a;
    const uint8_t *w;
};

/* Ranges count tiles of rows of w, so that no tile is cut. */
static void gemm_range(void *context, size_t first, size_t end)
{
    const struct gemm_job *job = context;
    size_t from = first * ROWS_TOGETHER, to = end * ROWS_TOGETHER < job->outs ? end * ROWS_TOGETHER : job->outs;
    job->table->gemm[job->word](job->y + from, job->y_stride, job->a, job->a_stride, job->rows, job->w + from * job->w_stride, job->w_stride,
                                to - from, job->inner);
}

void kern_gemm_over_threads(const struct kern_table *table, enum kern_word word, KERN_GEMM_PARAMETERS)
{
    if (table->level == KERN_LEVEL_CUDA) { /* takes a product whole, and shares what the CPU keeps of it */
        table->gemm[word](y, y_stride, a, a_stride, rows, w, w_stride, outs, inner);
        return;
    }
    struct gemm_job job = {table, word, y, y_stride, a_stride, rows, w_stride, outs, inner, a, w};
    size_t tile_words = ROWS_TOGETHER * inner * (rows < 8 ? rows : 8);
    kern_over_threads((outs + ROWS_TOGETHER - 1) / ROWS_TOGETHER, LEAST_WORDS / tile_words + 1, gemm_range, &job);
}
