/* `cachet serve` on the stand-in for the client library; takes its flags. */
#include "parties/command.h"

#include <sodium.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct base_error error = {0};
    if (sodium_init() < 0)
        return 12;
    command_catch_signals();
    enum base_status status = command_serve.run(argc, argv, &error);
    if (status != BASE_OK)
        (void)fprintf(stderr, "cachet serve: error (%s): %s\n", base_status_name(status), error.text);
    return base_status_exit_code(status);
}
