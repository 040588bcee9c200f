/* kernels-bench [--json] [PREFIX]: a table of kernel rates, as JSON on request; PREFIX picks cases by name. */
#include "bench/kernels.h"

#include "base/status.h"

#include <string.h>

int main(int argc, char **argv)
{
    struct base_error error = {0};
    int json = argc > 1 && strcmp(argv[1], "--json") == 0;
    const char *prefix = argc > 1 + json ? argv[1 + json] : NULL;
    if (argc > 2 + json || (prefix != NULL && prefix[0] == '-')) {
        fprintf(stderr, "usage: kernels-bench [--json] [PREFIX]\n");
        return 2;
    }
    enum base_status status = bench_kernels(stdout, json, prefix, &error);
    if (status != BASE_OK)
        fprintf(stderr, "kernels-bench: %s\n", error.text);
    return base_status_exit_code(status);
}
