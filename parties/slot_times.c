#include "parties/slot_times.h"

#include "kernels/timed.h"

void slot_times_log(const struct base_log *log)
{
    static const int bits[KERN_WORDS] = {[KERN_WORD_64] = 64, [KERN_WORD_48] = 48, [KERN_WORD_32] = 32};
    struct kern_times times = kern_times();
    base_log_write(log, BASE_LOG_INFO, NULL, "slots of the kernel table took %.3f s since the start", times.seconds);
    for (int w = 0; w < KERN_WORDS; w++)
        if (times.gemm_seconds[w] > 0)
            base_log_write(log, BASE_LOG_INFO, NULL,
                           "products of 16 rows and more, words of %d bits: %.2f billion in %.3f s of processor time, %.2f billion per second", bits[w],
                           times.gemm_products[w] * 1e-9, times.gemm_seconds[w], times.gemm_products[w] * 1e-9 / times.gemm_seconds[w]);
}
