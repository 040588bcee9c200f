#!/bin/sh
# What was driven against the program, and what came of it: a row for each kind. A part is one function below that prints its row; add one, and its
# name to `parts`. Rows are made of the last lines that the parts print themselves, so that there is one source for each figure.
#
# usage: safety.sh BUILD_DIR SECONDS [all]       SECONDS: of each fuzz target; all: every fault, 100 restarts, an hour of requests, the whole suite under
# sanitizers (three hours), where otherwise a spread of them is driven (half an hour)
set -u
build=$1
seconds=$2
all=${3:-}
parts="streams views parsers memory branches canary lies faults restarts pairs access files soak sanitizers suite"
suite_seconds=1500 # of ./run test on two cores
failed=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

row() { # KIND DRIVEN WRONG: prints a row; WRONG is a number
    printf '%-42s %14s %8s\n' "$1" "$2" "$3"
    [ "$3" = 0 ] || failed=1
}
# Runs a command into the log; its output is shown when it fails.
quiet() { "$@" >"$log" 2>&1 || { cat "$log" >&2; return 1; }; }
# The numbers that stand before a text, added up.
sum() { grep -oE "[0-9]+ $1" "$log" | awk '{ n += $1 } END { print n + 0 }'; }

streams() {
    wrong=0
    : >"$log.all"
    for test in protocols/protocols_test_masks engine/decoder/engine_test_session engine/decoder/engine_test_slots engine/decoder/engine_test_clients; do
        quiet "$build/tests/$test" || wrong=$((wrong + 1))
        cat "$log" >>"$log.all"
    done
    mv "$log.all" "$log"
    row "mask reuse (draws of streams)" "$(sum draws)" "$wrong"
}

views() {
    quiet "$build/tests/protocols/protocols_test_views" && row "views that depend on secrets" "$(sum 'test.s. run')" 0 || row "views that depend on secrets" - 1
}

parsers() {
    ./run fuzz "$seconds" >"$log" 2>&1 || cat "$log" >&2
    runs=$(awk 'NF == 4 && $2 ~ /^[0-9]+$/ { n += $2 } END { print n + 0 }' "$log")
    row "parser crashes (inputs)" "$runs" "$(sed -n 's/^parser crashes: //p' "$log" | grep . || echo 1)"
}

memory() {
    quiet ./run no-memory 7
    set -- $(sed -n 's/^malloc failures survived \/ driven: \([0-9]*\) \/ \([0-9]*\) of.*/\1 \2/p' "$log")
    row "malloc failures not survived" "${2:-0}" "$((${2:-1} - ${1:-0}))"
}

branches() {
    ./run constant-time >"$log" 2>&1 || cat "$log" >&2
    row "branches, indices, divisions on secrets" "$(grep -cE '^(gcc|clang) ' "$log") builds" "$(sed -n 's/^branches, .*: //p' "$log" | grep . || echo 1)"
}

canary() {
    quiet python3 tests/parties/serve/test_canary.py "$build/cachet" . "$build/tests/parties/serve/find_marks"
    case $? in
    0) row "marked secrets found" "$(sum marks)" 0 ;;
    *) row "marked secrets found" - 1 ;; # also where memory may not be read: nothing was looked at
    esac
}

# Columns of the last table that a driver printed, from the first number on, added up over its rows.
columns() { awk -F'|' '/^\|[- |]*$/ { split("", sum); next } /^\|.*[0-9]/ { for (i = 2; i < NF; i++) sum[i] += $i } END { for (i = 2; i in sum; i++) printf "%d ", sum[i] }' "$log"; }

lies() {
    wrong=0
    quiet ./run liar "$([ -n "$all" ] && echo 1000 || echo 100)" || wrong=1
    row "lies of a peer: reports of sanitizers, hangs" "$(sum 'lies told')" "$wrong"
}

# The columns: driven, survived, hangs, wrong answers.
faults() {
    status=0
    python3 tests/faults/faults.py "$build/cachet" "$build/cachet-failpoints" . ${all:+--all} >"$log" 2>"$log.err" || status=1
    [ "$status" -eq 0 ] || cat "$log.err" >&2
    rm -f "$log.err"
    set -- $(columns)
    row "faults not survived" "${2:-0}" "$((${2:-1} - ${3:-0}))"
    row "faults: hangs" "${2:-0}" "${4:-1}"
    row "faults: wrong answers" "${2:-0}" "${5:-1}"
    [ "$status" -eq 0 ] || failed=1
}

restarts() {
    times=$([ -n "$all" ] && echo 100 || echo 12)
    quiet python3 tests/faults/restart.py "$build/cachet-failpoints" . "$times" || failed=1
    set -- $(columns)
    row "restarts not survived" "${1:-0}" "$((${1:-1} - ${2:-0}))"
    row "restarts: ids and keys that came back" "${6:-0}" "${7:-1}"
}

# The columns: driven, survived, hangs, wrong answers.
pairs() {
    quiet python3 tests/faults/spool.py "$build/cachet-failpoints" . ${all:+--all} || failed=1
    set -- $(columns)
    row "two parties: faults not survived" "${2:-0}" "$((${2:-1} - ${3:-0}))"
    row "two parties: hangs, wrong answers" "${2:-0}" "$((${4:-1} + ${5:-1}))"
    row "two parties: keys that came back" "$(sum 'keys, ')" "$(sed -n 's/.* keys, \([0-9]*\) came back$/\1/p' "$log" | grep . || echo 1)"
}

# Tests that print TAP, as a row. A test that ends before its plan has failed.
tap() { # KIND COMMAND...
    kind=$1
    shift
    wrong=0
    quiet "$@" || wrong=1
    bad=$(grep -c '^not ok' "$log")
    [ "$bad" -gt 0 ] && wrong=$bad
    row "$kind" "$(grep -cE '^(not )?ok ' "$log")" "$wrong"
}

access() {
    tap "access: who came in, harm that was done" python3 tests/faults/access.py "$build/cachet" .
    tap "links that fall silent, one way and both" python3 tests/faults/partition.py "$build/cachet-failpoints" .
}

files() {
    tap "files: disk full, no place, no descriptors" tests/faults/test_files.sh "$build/cachet" .
    tap "files: bad ones that were taken" tests/parties/test_bad_files.sh "$build/cachet" .
}

soak() {
    minutes=$([ -n "$all" ] && echo 60 || echo 5)
    quiet python3 tests/faults/soak.py "$build/cachet-failpoints" . "$minutes" || failed=1
    set -- $(columns)
    row "requests with faults: wrong answers, hangs" "${2:-0}" "$((${5:-1} + ${7:-0}))"
}

sanitizers() {
    [ -n "$all" ] || return 0
    ./run sanitizers >"$log" 2>&1 || cat "$log" >&2
    row "tests under ASan, UBSan, LSan; TSan: reports" "$(sum 'passed')" "$(sum 'failed')"
}

# Seconds from the first test's start to the last one's end, of the last ./run test; wrong when that was not the whole suite, or took too long.
suite() {
    tests=$(meson test -C "$build" --list 2>/dev/null | wc -l)
    # Tests stand in the order of their ends, with a time of day; a suite takes less than half a day.
    set -- $(awk '/^start time: / { split($3, t, ":"); at[n++] = t[1] * 3600 + t[2] * 60 + t[3] } /^duration: / { took[n - 1] = $2 + 0 }
        END { for (i = 0; i < n; i++) { s = at[i] - at[0]; if (s > 43200) s -= 86400; if (s < -43200) s += 86400; if (s < first) first = s; if (s + took[i] > last) last = s + took[i] }
              printf "%d %d", n, last - first }' "$build/meson-logs/testlog.txt" 2>/dev/null)
    wrong=0
    [ "${1:-0}" -ge "$tests" ] && [ "${2:-0}" -le "$suite_seconds" ] || wrong=1
    row "the last ./run test: s, of $suite_seconds allowed" "${2:-0}" "$wrong"
    [ "${1:-0}" -ge "$tests" ] || echo "    it ran ${1:-0} of $tests tests: ./run test runs them all"
}

cd "$(dirname "$0")/.." || exit 1
printf '%-42s %14s %8s\n' "" driven wrong
for part in $parts; do
    "$part"
done
exit $failed
