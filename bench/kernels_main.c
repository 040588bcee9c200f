/* kernels-bench [--json]: a table of kernel rates, as JSON on request. */
#include "bench/kernels.h"

#include "base/status.h"

#include <string.h>

int main(int argc, char **argv)
{
    struct base_error error = {0};
    int json = argc == 2 && strcmp(argv[1], "--json") == 0;
    if (argc > 2 || (argc == 2 && !json)) {
        fprintf(stderr, "usage: kernels-bench [--json]\n");
        return 2;
    }
    enum base_status status = bench_kernels(stdout, json, &error);
    if (status != BASE_OK)
        fprintf(stderr, "kernels-bench: %s\n", error.text);
    return base_status_exit_code(status);
}
