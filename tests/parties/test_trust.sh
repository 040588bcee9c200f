#!/bin/sh
# docs/trust.md and docs/leakage.md are what the program prints, and what they say of entries that nothing opens is so. mpc/SECURITY.md has every
# entry of the registry, to the same receiver, and every function of protocols/.
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

# Rows "| name | ... | to whom | ..." of the registry against "| name | to whom | ..." of the proof sketch's section 5.
receivers() { awk -F' [|] ' -v column="$1" '/^[|] [a-z]/ { sub("^[|] ", "", $1); if ($1 != "entry") print $1 ": " $column }'; }
of_registry=$(sed -n '/^## The registry/,/^## Of a request/p' docs/leakage.md | receivers 3)
of_sketch=$(sed -n '/^## 5[.]/,/^## 6[.]/p' mpc/SECURITY.md | receivers 2)
[ -n "$of_registry" ] && [ "$of_registry" = "$of_sketch" ] || {
    echo "mpc/SECURITY.md, section 5, differs from the registry of mpc/opening.c:"
    echo "$of_registry" >"${TMPDIR:-/tmp}/registry.$$"
    echo "$of_sketch" | diff "${TMPDIR:-/tmp}/registry.$$" -
    rm -f "${TMPDIR:-/tmp}/registry.$$"
    exit 1
}
gates=$(sed -n '/^### Gates/,/^## 5[.]/p' mpc/SECURITY.md)
for file in protocols/*.c; do
    name=$(basename "$file" .c)
    case $name in gate | registry) continue ;; esac
    printf '%s' "$gates" | grep -q "\`$name\`" || {
        echo "mpc/SECURITY.md, section 4, does not say how $name is simulated"
        exit 1
    }
done
