/* Run by the build: writes files as C arrays. usage: embed NAME FILE [NAME FILE ...] */
#include <stdio.h>

int main(int argc, char **argv)
{
    (void)printf("/* Written by the build. */\n#include <stddef.h>\n");
    for (int i = 1; i + 1 < argc; i += 2) {
        FILE *file = fopen(argv[i + 1], "rb");
        size_t size = 0;
        int c;
        if (file == NULL) {
            (void)fprintf(stderr, "embed: cannot read %s\n", argv[i + 1]);
            return 1;
        }
        (void)printf("static const unsigned char %s[] = {", argv[i]);
        for (; (c = getc(file)) != EOF; size++)
            (void)printf("%s%d,", size % 24 == 0 ? "\n" : "", c);
        (void)printf("\n0};\nstatic const size_t %s_size = %zu;\n", argv[i], size);
        (void)fclose(file);
    }
    return 0;
}
