#!/bin/sh
# Mode two-party: two processes over TCP and no third, the tokens of the clear; what it cannot serve is refused by name. TAP.
#
# usage: test_two_party.sh CACHET SOURCE_ROOT
cachet=$1
root=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
number=0

check() {
    number=$((number + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $number - $2"
    else
        echo "not ok $number - $2"
        sed 's/^/# /' "$work/out" "$work/err"
    fi
}

# up ARGUMENT...: stdout and stderr to files; its exit code.
up() {
    "$cachet" up --mode two-party --model "$root/tests/support/transformers/qwen2" --max-tokens 3 "$@" >"$work/out" 2>"$work/err"
}

says() {
    grep -q -- "$1" "$work/err" "$work/out"
}

echo "1..17"
up --prompt "a b" --compare --keep "$work/kept" && says 'every one of the 3 tokens is the one that the same model gives in the clear'
check $? "two processes give the clear's tokens"
says 'material made before each step'
check $? "each step's material is made before it"
says 'P1 and P2 run as two processes' && ! [ -e "$work/kept/p0.key" ] && [ -e "$work/kept/p1.key" ]
check $? "there is no third"
text=$(head -n 1 "$work/out")
[ "$(stat -c %a "$work/kept/set/p1/encrypted-weights" "$work/kept/set/p2/encrypted-weights" | tr '\n' ' ')" = "600 600 " ] && grep -q 'are encrypted, once for this model' "$work/kept/p1.log"
check $? "each keeps the weights that the other has encrypted"
for i in 1 2; do
    "$cachet" party --config "$work/kept/config.yaml" --key "$work/kept/p$i.key" --shares "$work/kept/set/p$i" --once >"$work/again$i" 2>&1 &
done
"$cachet" generate --config "$work/kept/config.yaml" --key "$work/kept/client.key" --shares "$work/kept/set/client" --prompt "a b" --max-tokens 3 >"$work/out" 2>"$work/err" &&
    wait && ! grep -q 'are encrypted' "$work/again1" "$work/again2" && grep -q 'done: 2 prompt tokens' "$work/again1"
check $? "and uses them at its next start"
! grep -q 'p0:' "$work/kept/config.yaml" && grep -q '^mode: two-party$' "$work/kept/config.yaml" && "$cachet" config print --config "$work/kept/config.yaml" >"$work/out" 2>"$work/err"
check $? "its config has no p0, and reads back"
sed 's/^mode: two-party$/mode: three-party/' "$work/kept/config.yaml" >"$work/three.yaml"
! "$cachet" config print --config "$work/three.yaml" >"$work/out" 2>"$work/err" && says 'parties.p0 is missing: add it'
check $? "another mode wants its p0"
sed 's/^\( *\)p1: \(.*\)$/&\n\1p0: \2/' "$work/kept/config.yaml" >"$work/with.yaml"
! "$cachet" config print --config "$work/with.yaml" >"$work/out" 2>"$work/err" && says 'mode two-party has no P0: remove it'
check $? "a p0 is refused"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$cachet" up --mode two-party --serve --listen "127.0.0.1:$port" --model "$root/tests/support/transformers/qwen2" --context 16 >"$work/out" 2>"$work/err" &
gateway=$!
curl -sf --retry 300 --retry-delay 1 --retry-connrefused "http://127.0.0.1:$port/health" >"$work/health" &&
    curl -sf "http://127.0.0.1:$port/v1/completions" -H 'Content-Type: application/json' -d '{"prompt": "a b", "max_tokens": 3, "temperature": 0}' >"$work/answer" && kill "$gateway" && wait "$gateway" &&
    grep -q "\"text\":\"$text\"" "$work/answer"
check $? "the gateway answers over two parties"
long=$(printf 'a b %.0s' 1 2 3 4 5 6 7 8 9 10 11 12)
up --prompt "$long" --policy snapkv:budget=60:window=8 --compare && says 'every one of the 3 tokens is the one that the same model gives in the clear'
check $? "rows that go by secret scores: the clear's tokens"
! up --prompt "$long" --policy select:score=box:keep=24:window=4:unit=4 && says 'a choice by boxes of keys compares whole keys'
check $? "a policy that compares whole keys is refused"
up --prompt "a b" --prepare --compare && says 'MB between P1 and P2, before there is a prompt' && says 'material made ahead of use' &&
    says 'every one of the 3 tokens is the one that the same model gives in the clear'
check $? "or before there is a prompt, for the same tokens"
! up --prompt "a b" --inside && says 'let the client choose'
check $? "tokens chosen inside are refused"
"$cachet" plan --model "$root/tests/support/transformers/qwen2" --context 64 --out "$work/plan.json" >"$work/out" 2>"$work/err" &&
    ! up --prompt "a b" --plan "$work/plan.json" && says 'make a plan with --general'
check $? "a plan of gates that only P0 can deal for is refused"
"$cachet" plan --model "$root/tests/support/transformers/qwen2" --mode two-party --context 64 --out "$work/plan.json" >"$work/out" 2>"$work/err" &&
    says 'one token, 63 in the cache: 41 rounds, .* MB made between the two'
check $? "a plan says what a token costs there"
"$cachet" cost --model "$root/tests/support/transformers/qwen2" --plan "$work/plan.json" --context 60 --mode two-party >"$work/out" 2>"$work/err" &&
    says 'weights of the other, encrypted: [1-9.]'
check $? "and cost what the other's encrypted weights need"
"$cachet" check --config "$work/kept/config.yaml" --key "$work/kept/p1.key" --shares "$work/kept/set/p1" >"$work/out" 2>"$work/err"
says "MB weights with the other's, encrypted"
check $? "which check counts, too"
