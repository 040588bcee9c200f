/* A small sound tokenizer.json that tests change. */
#ifndef CACHET_TESTS_ENGINE_TOKENIZER_DOCUMENT_H
#define CACHET_TESTS_ENGINE_TOKENIZER_DOCUMENT_H

/* The document with the fields that the patch, a JSON object with single quotes for double ones, gives;
 * "DELETE" takes a field away. Pieces <unk>, a, b, ab and the special token <s> have the ids 0 to 4. Free the
 * text. */
char *document_patched(const char *patch);

#endif
