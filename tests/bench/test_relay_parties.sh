#!/bin/sh
# Three parties and a client over relayed links: the tokens are those without a relay, and the relay counts at least the bytes that the report
# says. And what the command refuses.
#
# usage: test_relay_parties.sh PROGRAM SOURCE_ROOT
set -u
. "$(dirname "$0")/../parties/deployment.sh"
setup
ln -s "$(realpath "$C")" "$T/cachet" # processes of a test have its directory in their command line
C=$T/cachet

# --- refusals -----------------------------------------------------------------------------------------------------------------
map="127.0.0.1:$port=127.0.0.2:$port"
refused 'no map' 2 5 '--map is missing' -- "$C" relay --link lan
refused 'no link' 2 5 '--link is missing' -- "$C" relay --map "$map"
refused 'an unknown link' 2 5 'link "slow"' 'lan' -- "$C" relay --link slow --map "$map"
refused 'no bandwidth' 2 5 'mbit is "0"' -- "$C" relay --link mbit=0 --map "$map"
refused 'a bad map' 2 5 'map "127.0.0.1:1"' 'HOST:PORT=HOST:PORT' -- "$C" relay --link lan --map 127.0.0.1:1
refused 'an address of another machine' 4 5 'cannot listen on 192.0.2.1:7' -- "$C" relay --link lan --map 192.0.2.1:7=127.0.0.1:7
refused 'no such host' 4 5 'no-such-host.invalid has no address' -- "$C" relay --link lan --map "127.0.0.1:$port=no-such-host.invalid:7"
refused 'until the end of what is no pipe' 2 5 'standard input' -- "$C" relay --link lan --map "$map" --until-eof

# --- the same answer ------------------------------------------------------------------------------------------------------------
tokens_of() { tr -d ' \n' <"$1" | sed 's/.*"tokens":\[\([0-9,]*\)\].*/\1/'; } # FILE
start_all
ask --max-tokens 6 --json >"$T/run/direct.json" 2>"$T/run/stderr" || bad 'the answer without a relay' "$(cat "$T/run/stderr")"
stop_all >/dev/null
running=0

maps=''
for offset in 0 1 2 3 4 5 6 7 8; do
    maps="$maps${maps:+,}127.0.0.1:$((port + offset))=127.0.0.2:$((port + offset))"
done
launch relay "$C" relay --link rtt=10:mbit=1000 --map "$maps" --json
judge 'the relay listens' "$(until_true 4 grep -qx ready "$T/run/relay.out" || cat "$T/run/relay.log")"
refused 'an address in use' 4 5 "cannot listen on 127.0.0.1:$port" 'Address already in use' -- "$C" relay --link lan --map "$map"
for one in p0 p1 p2; do start "$one" --bind 127.0.0.2; done
judge 'the parties meet over the relay' "$(ready p0 p1 p2)"
ask --max-tokens 6 --json >"$T/run/relayed.json" 2>"$T/run/stderr" || bad 'the answer over the relay' "$(cat "$T/run/stderr")"
direct=$(tokens_of "$T/run/direct.json")
relayed=$(tokens_of "$T/run/relayed.json")
judge 'the tokens are those without a relay' "$([ -n "$direct" ] && [ "$direct" = "$relayed" ] || echo "with a relay \"$relayed\", without \"$direct\"")"
stop_all >"$T/run/stopped"
running=0
judge 'all end in order' "$(cat "$T/run/stopped")"

sed 1d "$T/run/relay.out" >"$T/run/relay.json"
counted=$(awk '/"bytes"/ { inside = 1; next } /\]/ { inside = 0 } inside { sum += $1 } END { printf "%d", sum }' "$T/run/relay.json")
reported=$(awk '/"parties"/ { inside = 1 } inside && /"(online|offline)_bytes"/ { sum += $2 } END { printf "%d", sum }' "$T/run/relayed.json")
judge "the relay counted $counted bytes, the report says $reported" "$([ "$reported" -gt 0 ] && [ "$counted" -ge "$reported" ] || echo 'too few')"
judge 'six links were used, and the link is named' "$(
    [ "$(grep -cE '"connections": [1-9]' "$T/run/relay.json")" -eq 6 ] || grep connections "$T/run/relay.json"
    grep -q '"link": "rtt=10:mbit=1000"' "$T/run/relay.json" || echo 'no link'
)"

# --- a long way: a handshake takes longer than P0 gives each of the others at first ---------------------------------------------------
limit_connect=20
write_config "$T/patient.yaml"
launch relay "$C" relay --link rtt=300 --map "$maps"
until_true 4 grep -qx ready "$T/run/relay.out"
for one in p0 p1 p2; do start "$one" --bind 127.0.0.2 --config "$T/patient.yaml"; done
judge 'the parties meet over a round trip of 300 ms' "$(for one in p0 p1 p2; do hear "$one" 12 'ready: connected'; done)"
settle 'and end in order' ''

done_testing
