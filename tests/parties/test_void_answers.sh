#!/bin/sh
# Plans whose ranges some prompts leave, with real processes: the client gets one clean error that names the remedy and no token, the parties
# notice nothing, and the next prompt is answered.
#
# usage: test_void_answers.sh PROGRAM SOURCE_ROOT
set -u
. "$(dirname "$0")/deployment.sh"
setup
mv "$T/plan.json" "$T/good.json"

# Puts a deployment whose plan is changed by a sed script in the place of the good one.
share_edited() { # SCRIPT
    sed "$1" "$T/good.json" >"$T/plan.json"
    ! cmp -s "$T/plan.json" "$T/good.json" || fatal "sed '$1' changes nothing in the plan"
    rm -r "$T/set"
    "$C" share --model "$model" --plan "$T/plan.json" --out "$T/set" >/dev/null || fatal "share fails"
    write_config "$T/config.yaml"
}
# A command as it is, but once more as long as a party still takes leave of the last client; at most ten times.
# shellcheck disable=SC2016 # for another shell
patiently='place=$1; shift; tries=0
while "$@" >"$place.out" 2>"$place.err"; code=$?; grep -q "busy with another session" "$place.err" && [ "$tries" -lt 10 ]; do
    tries=$((tries + 1))
done
cat "$place.out"; cat "$place.err" >&2; exit "$code"'
as_void() { # NAME FLAG...: a request whose answer is void from its prompt on
    name=$1
    shift
    refused "$name" 7 20 '(range)' 'left the range' 'the answer is void' 'cachet plan --text' 'share the weights again' 'restart the parties' -- \
        sh -c "$patiently" sh "$T/run/patient" "$C" generate "$@" --max-tokens 6
    [ -z "$(tr -d '\n' <"$T/run/stdout")" ] || bad "$name: no token" "the answer is $(head -c 200 "$T/run/stdout")"
}
on_shares() { as_void "$1" --config "$T/config.yaml" --key "$T/client.key" --shares "$T/set/client" --prompt "$2"; }
in_clear() { as_void "$1" --backend clear --model "$model" --plan "$T/plan.json" --prompt "$2"; }
# Complaints about what the parties say: no failure, and nothing of a void answer or of a prompt.
parties_notice_nothing() {
    for one in p0 p1 p2; do
        ! grep -qE ' (error|warning) |void|range|guard' "$T/run/$one.log" || echo "$one says: $(grep -E ' (error|warning) |void|range|guard' "$T/run/$one.log" | head -n 3 | cut -c 1-300)"
        ! grep -qiE 'zanzibar|tom|one day' "$T/run/$one.log" "$T/run/$one.out" || echo "the prompt is in the log of $one"
    done
}

# --- one ceiling --------------------------------------------------------------------------------------------------------------
# The first head of the first layer: 28.3 nats. Its scores reach 29.1 nats in the second prompt; in the first one they stay more than
# a cell of its guard below.
share_edited '0,/"head_ceiling": \[/{/"head_ceiling": \[/{n;s/[0-9-]\{1,\}/453/}}'
in_clear 'a score above its ceiling, in the clear' 'Tom zanzibar'
start_all
judge 'a prompt within the edited plan is answered' "$(next_request_works)"
for again in 1 2; do
    on_shares "a score above its ceiling, request $again" 'Tom zanzibar'
    judge "the next prompt is answered, request $again" "$(next_request_works)"
done
judge 'the parties notice nothing' "$(parties_notice_nothing)"
settle 'all ends in order' ''

# --- g, by segments that are too few -------------------------------------------------------------------------------------------
# Every layer reads its activation between -2 and 2, and every prompt goes further.
share_edited 's/"kg": [0-9]*,/"kg": 11,/; s/"g": [0-9-]*,/"g": 1,/; s/"wave": [12]/"wave": 0/'
in_clear 'g beyond its segments, in the clear' 'Tom zanzibar'
start_all
on_shares 'g beyond its segments' 'Tom zanzibar'
judge 'the parties notice nothing of g' "$(parties_notice_nothing)"
settle 'all ends in order again' ''

done_testing
