/* A client in thirty lines: cc example.c $(pkg-config --cflags --libs cachet) */
#include <cachet.h>
#include <stdio.h>
#include <string.h>

static bool show(void *context, const struct cachet_token *token)
{
    (void)context;
    (void)fwrite(token->text, 1, token->size, stdout);
    (void)fflush(stdout);
    return true; /* false cancels */
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        (void)fprintf(stderr, "usage: example CONFIG KEY SHARES PROMPT\n");
        return CACHET_BAD_REQUEST;
    }
    struct cachet *client = NULL;
    struct cachet_error error;
    struct cachet_result result;
    struct cachet_options options = {.config = argv[1], .key = argv[2], .shares = argv[3], .once = true};
    struct cachet_part prompt = {.text = argv[4], .size = strlen(argv[4])};
    struct cachet_request request = {.max_tokens = 16, .top_p = 1, .token = show};
    enum cachet_code code = cachet_open(&client, &options, &error);
    if (code == CACHET_OK)
        code = cachet_wait_ready(client, 60000, &error);
    if (code == CACHET_OK)
        code = cachet_tokenize(client, &prompt, 1, true, &request.tokens, &request.token_count, &error);
    if (code == CACHET_OK)
        code = cachet_generate(client, &request, &result, &error);
    if (code == CACHET_OK)
        (void)printf("\n%zu tokens, %.1f MB dealt\n", result.new_tokens, (double)result.dealt_bytes * 1e-6);
    else
        (void)fprintf(stderr, "%s\n", error.text);
    cachet_free_tokens(&request.tokens, request.token_count);
    cachet_close(&client);
    return code;
}
