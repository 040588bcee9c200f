#!/bin/sh
# Runs a check under memcheck, first on functions that leak on purpose, each of which must be reported, then on the product's own,
# where any report is a failure.
#
# usage: under_valgrind.sh PROGRAM
set -u
program=$1
allowed=$(dirname "$0")/allowed.supp
command -v valgrind >/dev/null || { echo 'skipped: valgrind is not installed'; exit 77; }

watch() {
    valgrind -q --error-limit=no --num-callers=20 --suppressions="$allowed" "$@"
}

log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
if ! watch "$program" leaks >"$log" 2>&1; then
    cat "$log"
    echo 'a function that leaks on purpose was not reported'
    exit 1
fi
grep '^leak' "$log"
watch --error-exitcode=1 "$program"
