#include "tests/parties/exactness/logits.h"

#include <math.h>

int32_t logits_largest(const double *v, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = v[i] > v[best] ? i : best;
    return (int32_t)best;
}

double logits_gap(const double *v, size_t n)
{
    int32_t best = logits_largest(v, n);
    double second = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if ((int32_t)i != best)
            second = fmax(second, v[i]);
    return v[best] - second;
}

double logits_distance(const double *a, const double *b, size_t n)
{
    double widest = 0;
    for (size_t i = 0; i < n; i++)
        widest = fmax(widest, fabs(a[i] - b[i]));
    return widest;
}
