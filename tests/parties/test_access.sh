#!/bin/sh
# Ends that the program would never be (intruder.c), at three running parties: keys that are not on the list, keys that are held twice, a
# client that says it is another, frames of an old session behind the keys, frames without bounds, and connections that use up every
# descriptor. All are kept out, and the client that may gets its answer.
#
# usage: test_access.sh PROGRAM SOURCE_ROOT INTRUDER
set -u
. "$(dirname "$0")/deployment.sh"
intruder=$3
setup
limit_connect=20 limit_step=20 # nothing here is about deadlines
write_config "$T/config.yaml"
"$C" generate --backend clear --model "$model" --plan "$T/plan.json" --prompt 'One day' --max-tokens 40 --ignore-eos >"$T/run/expected" || fatal "the clear backend fails"
long=$(head -n 1 "$T/run/expected")
start_all
parties_before=$(cat "$T"/run/p?.pid)

# Complaints about a try that must be kept out, and must say so.
kept_out() { # WORD... -- TRY...
    words=''
    while [ "$1" != -- ]; do
        words="$words$1|"
        shift
    done
    shift
    said=$(timeout 60 "$intruder" "$@" 2>&1)
    code=$?
    [ "$code" -eq 0 ] || echo "$1 at $5: exit code $code: $said"
    old=$IFS
    IFS='|'
    for word in $words; do
        case $said in
        *"$word"*) ;;
        *) echo "$1 at $5: \"$word\" is missing in: $said" ;;
        esac
    done
    IFS=$old
}
same_parties() { [ "$(cat "$T"/run/p?.pid)" = "$parties_before" ] && for one in p0 p1 p2; do [ ! -e "$T/run/$one.code" ] || echo "$one has ended"; done; }
still_meeting() { for one in p0 p1 p2; do ! says "$one" 'connecting again' || echo "$one has lost its links"; done; }
# An answer that has begun and stands still until `answered` lets it go on.
answering() {
    start_client alice --max-tokens 40 --ignore-eos
    until_true 20 test -s "$T/run/alice.out" || echo "no answer begins: $(cat "$T/run/alice.log")"
    kill -STOP "$(pid_of alice)"
}
answered() {
    kill -CONT "$(pid_of alice)"
    until_true 120 test -s "$T/run/alice.code" || echo 'the answer does not end'
    [ "$(head -n 1 "$T/run/alice.out")" = "$long" ] || echo "the answer is \"$(cat "$T/run/alice.out")\", the model in the clear says \"$long\": $(cat "$T/run/alice.log")"
    rm -f "$T/run/alice.pid"
}

# --- keys --------------------------------------------------------------------------------------------------------------------
complaints=$(for place in '0 0' '1 0' '1 1' '2 0' '2 1' '2 2'; do
    # shellcheck disable=SC2086 # two words
    kept_out 'refused our key' "$(echo "$key_stranger" | tr -d '"')" -- key "$T/config.yaml" "$T/stranger.key" $place 20000
done)
judge 'a key of nobody is refused at every port' "$complaints$(still_meeting; next_request_works)"
complaints=$(kept_out 'refused our key' -- key "$T/config.yaml" "$T/client.key" 2 1 20000
    kept_out 'refused our key' -- key "$T/config.yaml" "$T/p1.key" 2 1 20000
    kept_out 'refused our key' -- key "$T/config.yaml" "$T/p1.key" 2 0 20000)
judge "a client's key opens no port of parties, a party's key no other's port" "$complaints$(still_meeting; next_request_works)"
complaints=$(
    answering
    kept_out 'busy' -- key "$T/config.yaml" "$T/client.key" 1 0 5000
    answered
    kept_out 'busy' -- key "$T/config.yaml" "$T/p0.key" 1 1 1500
    kept_out 'busy' -- key "$T/config.yaml" "$T/p0.key" 2 1 1500
    kept_out 'busy' -- key "$T/config.yaml" "$T/p1.key" 2 2 1500
)
judge 'a second holder of a key, during an answer and beside it, is told that the party is busy' "$complaints$(still_meeting; next_request_works)"

# --- what a right key does not open -----------------------------------------------------------------------------------------------
for id in 0 1 2 3; do # bob is 4
    case $id in 0) words='party id is 0 at both ends|party id differs' ;; *) words='party id differs' ;; esac
    judge "bob says that he is end $id" "$(kept_out 'party id' -- id "$T/config.yaml" "$T/bob.key" "$T/set/client" 0 $id)$(next_request_works)"
done
complaints=$(for party in 0 1 2; do kept_out 'frame field session' -- session "$T/config.yaml" "$T/bob.key" "$T/set/client" $party 1; done)
judge 'a frame of the session before, behind the keys' "$complaints$(still_meeting; next_request_works)"
peak() { awk '/^VmHWM/ { print $2 }' "/proc/$(pid_of p1)/status"; }
before=$(peak)
complaints=$(for size in 262193 268435456; do kept_out 'was ended' -- large "$T/config.yaml" "$T/bob.key" "$T/set/client" 1 $size; done)
[ "$(peak)" -lt $((before + 65536)) ] || complaints="$complaints P1 took it into memory: $before kB before, $(peak) kB after"
judge 'a frame of a byte more than is legal, and one of 256 MiB, from a client that may' "$complaints$(still_meeting; next_request_works)"
judge 'all of it at the parties that were there from the start' "$(same_parties)"

# --- connections that use up every descriptor ------------------------------------------------------------------------------------------
settle 'the parties end when they are asked to' "$(stop_all)"
start p0
start p1
(ulimit -n 90 && start p2) || fatal 'no limit of open files'
running=3
complaints=$(ready p0 p1 p2)
parties_before=$(cat "$T"/run/p?.pid)
answering >"$T/run/complaints"
launch holder "$intruder" hold $((port + 7)) 300
complaints="$complaints$(cat "$T/run/complaints"; until_true 20 test -s "$T/run/holder.out" || echo 'no connections')$(answered)"
running=4
judge '300 connections at P2, which may have 90 files: an answer under way is right' "$complaints"
complaints=$(hear p2 30 'no client can connect at present')
judge 'P2 says that no client can connect' "$complaints"
kill -KILL "$(pid_of holder)"
until_true 5 test -s "$T/run/holder.code"
rm -f "$T/run/holder.pid"
running=3
judge 'when they are gone, the same parties serve' "$(next_request_works; same_parties; still_meeting)$(leftovers)"

done_testing
