#!/bin/sh
# Parties and clients that do not fit together, or are not there: each end names the other, what differs, and both values, in time; the
# deployment serves the next good client.
#
# usage: test_bad_meetings.sh PROGRAM SOURCE_ROOT
set -u
. "$(dirname "$0")/deployment.sh"
setup

# --- a party is missing ------------------------------------------------------------------------------------------------------
for missing in p0 p1 p2; do
    upper=$(echo $missing | tr p P)
    here=$(echo p0 p1 p2 | sed "s/$missing//")
    for one in $here; do start "$one"; done
    start_client alice
    complaints=$(
        for one in $here; do ends "$one" 10 6 "$upper"; done
        ends alice 8,10,11 6 "$upper"
    )
    settle "without $upper: both others and the client name it" "$complaints"
done
start p0 --config "$T/hasty.yaml"
settle 'P0 alone ends with an error' "$(ends p0 10 6 'nobody answers' 'start it')"
start p2 --config "$T/hasty.yaml"
settle 'P2 alone ends with an error' "$(ends p2 10 6 'P2 for P0' 'start the peer')"
start p0
until_true 2 says p0 waiting
settle 'asked to stop while it waits: exit code 0' "$(kill -TERM "$(pid_of p0)"; ends p0 0 2)"

# --- a party is late -----------------------------------------------------------------------------------------------------------
for late in p0 p2; do
    for one in $(echo p0 p1 p2 | sed "s/$late//"); do start "$one"; done
    start_client alice --max-tokens 6
    sleep 2
    start $late
    complaints=$(ready p0 p1 p2)
    until_true 6 test -s "$T/run/alice.code"
    answer=$(head -n 1 "$T/run/alice.out")
    [ "$answer" = "$expected" ] || complaints="$complaints the client that waited got \"$answer\", not \"$expected\": $(cat "$T/run/alice.log")"
    settle "$late two seconds late: all meet, and a client that came before is served" "$complaints"
done

# --- parties that differ -----------------------------------------------------------------------------------------------------------
# P1 runs with these flags; P0 and P1 end with the words, and P2 hears of it from P0.
differ() { # NAME CODES WORD... -- FLAG...
    name=$1 codes=$2 words=''
    shift 2
    while [ "$1" != -- ]; do
        words="$words $1"
        shift
    done
    shift
    start p0
    start p2
    start p1 "$@"
    # shellcheck disable=SC2086 # words without spaces
    complaints=$(
        ends p0 "$codes" 6 P1 $words
        ends p1 "$codes" 6 P0 $words
        ends p2 8,9,11 2 P0 P1
    )
    settle "$name" "$complaints"
}
limit_context=64
write_config "$T/smaller.yaml"
limit_context=128
differ 'P1 with a smaller context in its config: both ends say which' 9 context 64 128 -- --config "$T/smaller.yaml"
limit_step=9
write_config "$T/slower.yaml"
limit_step=3
differ 'P1 with another time limit in its config: both ends say so' 9 config -- --config "$T/slower.yaml"
"$C" share --model "$model" --plan "$T/plan.json" --out "$T/set2" >/dev/null || fatal "share fails"
own=$(field "$T/set/p0/manifest.json" set)
other=$(field "$T/set2/p0/manifest.json" set)
sed "s/$own/$other/" "$T/config.yaml" >"$T/other.yaml"
differ 'P1 with the shares and config of another set: both ends name both sets' 9 share set "$own" "$other" -- --config "$T/other.yaml" --shares "$T/set2/p1"
derive theta p1
sed -i 's/^  "rope_theta": [^,]*/  "rope_theta": 10000.0/' "$T/theta/manifest.json"
differ 'P1 with a changed shape in its manifest: both ends say so' 9 model shape -- --shares "$T/theta"
LC_ALL=C sed 's/0\.1\.0/7.1.0/g' "$C" >"$T/other-program" && chmod +x "$T/other-program"
if [ "$("$T/other-program" --version 2>&1)" = 'cachet 7.1.0' ]; then
    good_program=$C
    start p0
    start p2
    C=$T/other-program
    start p1
    C=$good_program
    settle 'P1 of another build version: both ends name both versions' "$(
        ends p0 9 6 P1 'build version' 0.1.0 7.1.0
        ends p1 9 6 P0 'build version' 0.1.0 7.1.0
        ends p2 8,9,11 2 P0 P1
    )"
fi
rm -f "$T/other-program"
swapped=$(printf '%s' "$key_stranger" | sed 's/[&|\\]/\\&/g')
sed "s|^  p1: \(.*\) key: .*}|  p1: \1 key: $swapped}|" "$T/hasty.yaml" >"$T/impostor.yaml"
start p1 --config "$T/hasty.yaml"
start p0 --config "$T/impostor.yaml"
settle 'P0 expects another key at P1: it says so' "$(ends p0 9,10 6 P1 "$(echo "$key_stranger" | tr -d '"')"; ends p1 8,9,10,11 6 P0)"

# --- clients that do not fit -----------------------------------------------------------------------------------------------------------
start_all
client() { # NAME CODES CONFIG KEY SHARES WORD...: refused, and the next request works
    name=$1 codes=$2 config=$3 key=$4 shares=$5
    shift 5
    refused "$name" "$codes" 6 "$@" -- "$C" generate --config "$config" --key "$key" --shares "$shares" --prompt zanzibar --max-tokens 2
}
swapped=$(printf '%s' "$key_stranger" | sed 's/[&|\\]/\\&/g')
sed "s|{name: bob, key: .*}|{name: bob, key: $swapped}|" "$T/config.yaml" >"$T/strange.yaml"
client 'a client that is not on the list is refused' 9 "$T/strange.yaml" "$T/stranger.key" "$T/set/client" P0 refused "$(echo "$key_stranger" | tr -d '"')"
for one in p0 p1 p2; do
    ! says "$one" request || bad "$one heard nothing of it" "$(cat "$T/run/$one.log")"
done
client 'a client with another config' 9 "$T/smaller.yaml" "$T/client.key" "$T/set/client" P0 context 64 128
judge 'P0 says so, too' "$(hear p0 2 context)"
client 'a client of another set' 9 "$T/other.yaml" "$T/client.key" "$T/set2/client" P0 'share set' "$own" "$other"
derive theta-client client
sed -i 's/^  "rope_theta": [^,]*/  "rope_theta": 10000.0/' "$T/theta-client/manifest.json"
client 'a client with a changed shape in its manifest' 9 "$T/config.yaml" "$T/client.key" "$T/theta-client" P0 'model shape'
judge 'the next good request works' "$(next_request_works)"

# --- two at once ---------------------------------------------------------------------------------------------------------------------------
start_client first --max-tokens 90 --ignore-eos --key "$T/bob.key"
until_true 4 test -s "$T/run/first.out"
refused 'a second client is told that the parties are busy' 11 5 P0 busy 'try again' -- "$C" generate --config "$T/config.yaml" --key "$T/client.key" --shares "$T/set/client" --prompt zanzibar --max-tokens 2
until_true 10 test -s "$T/run/first.code"
running=3
judge 'and costs the first one nothing' "$([ "$(cat "$T/run/first.code")" = 0 ] || cat "$T/run/first.log")"
judge 'a request after that works' "$(next_request_works)"

# --- other programs at the ports ---------------------------------------------------------------------------------------------------------------
if command -v bash >/dev/null; then
    for offset in 0 3 4 6 7 8; do
        timeout 2 bash -c "exec 3<>/dev/tcp/127.0.0.1/$((port + offset)); head -c 70000 /dev/urandom >&3; printf 'GET / HTTP/1.1\r\n\r\n' >&3" 2>/dev/null
    done
    judge 'random bytes at every port cost nothing' "$(next_request_works)"
fi
refused 'a port that is taken' 4 6 "127.0.0.1:$port" 'in use' -- "$C" party --config "$T/config.yaml" --key "$T/p0.key" --shares "$T/set/p0"

# --- the end -----------------------------------------------------------------------------------------------------------------------------------
settle 'asked to stop when idle: every party ends with exit code 0 in time' "$(stop_all)"
for one in p0 p1 p2; do start "$one" --once; done
complaints=$(ready p0 p1 p2; next_request_works; for one in p0 p1 p2; do ends "$one" 0 3; done)
settle 'parties that serve once end after one request with exit code 0' "$complaints"

done_testing
