#!/bin/sh
# docs/trust.md and docs/leakage.md are what the program prints, and what they say of entries that nothing opens is so.
#
# usage: test_trust.sh CACHET SOURCE_ROOT
set -u
"$1" check --trust | diff "$2/docs/trust.md" - || {
    echo "docs/trust.md has fallen behind: write it again with 'build/cachet check --trust > docs/trust.md'"
    exit 1
}
"$1" check --openings | diff "$2/docs/leakage.md" - || {
    echo "docs/leakage.md has fallen behind: write it again with 'build/cachet check --openings > docs/leakage.md'"
    exit 1
}
cd "$2" || exit 1
if grep -rn 'MPC_OPEN_TOP_' --include='*.c' engine kvcache protocols parties bench; then
    echo "docs/leakage.md (parties/leakage.c) says that nothing opens under top-tokens and top-logits"
    exit 1
fi
if grep -rnE 'protocols/(shuffle|hidden_set)\.h' --include='*.[ch]' engine kvcache parties; then
    echo "docs/leakage.md (parties/leakage.c) says that no request shuffles"
    exit 1
fi
