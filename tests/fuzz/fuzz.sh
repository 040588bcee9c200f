#!/bin/sh
# Runs every fuzz target for some seconds from its saved corpus, under AddressSanitizer and UBSan, and prints what came of it. A crash leaves
# its input in BUILD/crashes: mend the reader, then keep the input in corpus-NAME. Skipped (77) where a target was not built.
#
# usage: fuzz.sh BUILD SECONDS [NAME ...]      BUILD: made by clang with -Dfuzz=true -Db_sanitize=address,undefined
set -u
build=$1
seconds=$2
shift 2
here=$(dirname "$0")
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
failed=0
mkdir -p "$build/crashes"
[ $# -gt 0 ] || set -- $(cd "$here" && ls -d corpus-* | sed 's/corpus-//')
printf '%-10s %12s %9s %9s\n' target runs new crashes
for name in "$@"; do
    [ -x "$build/tests/fuzz/fuzz_$name" ] || { echo "no $build/tests/fuzz/fuzz_$name: ./run fuzz builds it (with clang)" >&2; exit 77; }
    new=$build/corpus-new/$name
    log=$build/crashes/$name.log
    mkdir -p "$new"
    rm -f "$build/crashes/$name-"*
    # One allocation is at most 64 MB: no reader needs more for an input of 8 kB, and one that believes a length in it asks for more.
    "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=3072 -malloc_limit_mb=64 -max_len=8192 -print_final_stats=1 \
        -artifact_prefix="$build/crashes/$name-" "$new" "$here/corpus-$name" >"$log" 2>&1
    status=$?
    crashes=$(find "$build/crashes" -name "$name-*" | wc -l)
    # An end without an input that did it, such as a leak at the very end, is a failure as well.
    [ "$status" -eq 0 ] || [ "$crashes" -gt 0 ] || crashes=1
    failed=$((failed + crashes))
    [ "$crashes" -eq 0 ] || tail -n 40 "$log" >&2 # with the input in base64
    printf '%-10s %12s %9s %9s\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
        "$(sed -n 's/^stat::new_units_added: *//p' "$log")" "$crashes"
done
echo "parser crashes: $failed"
[ "$failed" -eq 0 ] || { echo "inputs and logs: $build/crashes"; exit 1; }
