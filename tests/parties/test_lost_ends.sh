#!/bin/sh
# Parties and clients that vanish, freeze or are stopped in the middle of an answer: everybody else says who, in time; the parties meet
# again by themselves, and the next answer is right.
#
# usage: test_lost_ends.sh PROGRAM SOURCE_ROOT
set -u
. "$(dirname "$0")/deployment.sh"
setup
start_all
failures_before=0

# A client whose answer has begun.
answering() {
    complaints=''
    start_client alice --max-tokens 110 --ignore-eos
    until_true 5 test -s "$T/run/alice.out" || complaints="no answer begins: $(cat "$T/run/alice.log")"
}
gone() { # after the client was killed
    until_true 2 test -s "$T/run/alice.code"
    rm -f "$T/run/alice.pid"
}
# A failed case leaves nothing that the next one could stumble over.
start_anew() {
    [ "$failures" -ne "$failures_before" ] || return 0
    failures_before=$failures
    signal_all KILL
    until_true 3 nobody_left
    rm -f "$T"/run/*.pid
    running=0
    start_all
}

# From here on a party's log is looked at only behind what it holds now.
mark() { for one in p0 p1 p2; do wc -l <"$T/run/$one.log" >"$T/run/$one.mark"; done; }
# A party that was started since has no mark.
reported() { tail -n "+$(($(cat "$T/run/$1.mark" 2>/dev/null || echo 0) + 1))" "$T/run/$1.log" | grep -F "$3" | grep -qE "$2"; } # NAME PATTERN WORD
reports() { # NAME SECONDS WORD: a line of failure that holds the word
    until_true "$2" reported "$1" '(error|warning) P[012] ' "$3" || echo "$1 reports nothing of $3 within $2 s: $(tail -n 3 "$T/run/$1.log" | cut -c 1-500)"
}
met_again() { # all three are connected after the mark
    for one in p0 p1 p2; do
        until_true 6 reported "$one" ' info ' 'ready: connected' || echo "$one does not connect again: $(tail -n 3 "$T/run/$one.log" | cut -c 1-500)"
    done
}
others() { echo p0 p1 p2 | sed "s/$1//"; }

# --- parties ---------------------------------------------------------------------------------------------------------------------
for lost in p0 p1 p2; do
    upper=$(echo $lost | tr p P)
    mark
    answering
    kill -KILL "$(pid_of $lost)"
    complaints="$complaints$(
        ends alice 8,10,11 4 "$upper"
        for one in $(others $lost); do reports "$one" 3 "$upper"; done
    )"
    running=2
    judge "$upper killed during an answer: client and both others name it" "$complaints$(leftovers)"
    start $lost
    judge "$upper started again: the others connect by themselves and the next answer is right" "$(met_again; next_request_works)"
    start_anew
done
for lost in p0 p2; do
    upper=$(echo $lost | tr p P)
    mark
    answering
    kill -TERM "$(pid_of $lost)"
    complaints="$complaints$(
        ends $lost 0 2
        ends alice 8,10,11 4 "$upper"
        for one in $(others $lost); do reports "$one" 3 "$upper"; done
    )"
    running=2
    judge "$upper asked to stop during an answer: it ends with exit code 0, the others name it" "$complaints$(leftovers)"
    start $lost
    judge "$upper started again: the next answer is right" "$(met_again; next_request_works)"
    start_anew
done
mark
answering
kill -STOP "$(pid_of p1)"
complaints="$complaints$(
    ends alice 8,10,11 6 P1
    for one in p0 p2; do reports "$one" 6 P1; done
)"
kill -CONT "$(pid_of p1)"
running=3
judge 'P1 frozen during an answer: client and both others name it within step_seconds' "$complaints$(leftovers)"
judge 'P1 goes on: the parties meet again and the next answer is right' "$(met_again; next_request_works)"
start_anew
mark
kill -KILL "$(pid_of p2)"
running=2
complaints=$(for one in p0 p1; do reports "$one" 3 P2; done)
start p2
judge 'P2 killed when idle and started again: the next answer is right' "$complaints$(met_again; next_request_works)"
start_anew

# --- clients -----------------------------------------------------------------------------------------------------------------------
mark
answering
kill -KILL "$(pid_of alice)"
running=3
gone
complaints="$complaints$(for one in p0 p1 p2; do reports "$one" 4 alice; done)"
judge 'client killed during an answer: the parties report it' "$complaints$(leftovers)"
judge 'and the next answer is right' "$(next_request_works)"
start_anew
mark
answering
kill -INT "$(pid_of alice)"
complaints="$complaints$(
    ends alice 11 3 'the parties are free'
    for one in p0 p1 p2; do until_true 4 reported "$one" ' info ' 'request of alice done' || echo "$one does not end the request in order"; done
)"
running=3
judge 'client interrupted: it ends at once and says so, its request has ended in order at all parties' "$complaints$(leftovers)"
judge 'and the next answer is right' "$(next_request_works)"
start_anew
mark
answering
kill -STOP "$(pid_of alice)"
complaints="$complaints$(for one in p1 p2; do reports "$one" 6 alice; done)"
kill -CONT "$(pid_of alice)"
complaints="$complaints$(ends alice 8,10,11 4 P)"
running=3
judge 'client frozen during an answer: the parties report it within step_seconds' "$complaints$(leftovers)"
judge 'and the next answer is right' "$(next_request_works)"
start_anew
# A pager that nobody scrolls: the pipe is full, the client cannot go on, but its connections live. The answer is short, so that P0 has
# dealt all of it.
mark
mkfifo "$T/run/pager"
sleep 30 <"$T/run/pager" &
pager=$!
launch alice sh -c 'exec >"$1/run/pager"; head -c 65536 /dev/zero; shift; exec "$@"' sh "$T" "$C" generate --config "$T/config.yaml" --key "$T/client.key" --shares "$T/set/client" --prompt 'One day' --max-tokens 6
complaints=$(
    for one in p1 p2; do reports "$one" 6 alice; done
    reports p0 6 'request of alice failed'
    for one in p0 p1 p2; do ! reported "$one" ' warning ' 'connecting again' || echo "$one has lost the others"; done
)
kill "$pager"
complaints="$complaints$(ends alice 4,8,10,11 3)"
running=3
judge 'client that stands still in its output: all three parties report it within step_seconds and stay joined' "$complaints$(leftovers)"
judge 'and the next answer is right' "$(next_request_works)"
start_anew
for pause in 0.02 0.04 0.06 0.1 0.15 0.3; do
    start_client alice --max-tokens 110 --ignore-eos
    sleep $pause
    kill -KILL "$(pid_of alice)" 2>/dev/null
    gone
    running=3
done
judge 'six clients killed at various points, one after the other: the next answer is right' "$(next_request_works)"
start_anew

settle 'at the end every party stops with exit code 0' "$(stop_all)"
done_testing
