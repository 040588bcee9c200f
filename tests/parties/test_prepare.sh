#!/bin/sh
# Material made ahead of use, mode two-party: two processes over TCP, their folders, `cachet prepare`; what is used once, what is refused by name. TAP.
#
# usage: test_prepare.sh CACHET SOURCE_ROOT
cachet=$1
root=$2
T=$(mktemp -d "${TMPDIR:-/tmp}/cachet-prepare.XXXXXX") || exit 99
number=0
failures=0
LC_ALL=C
export LC_ALL

stop() {
    for i in 1 2; do
        [ -f "$T/p$i.pid" ] && kill "$(cat "$T/p$i.pid")" 2>/dev/null && wait "$(cat "$T/p$i.pid")" 2>/dev/null
        rm -f "$T/p$i.pid"
    done
}
trap 'stop; rm -rf "$T"' EXIT
trap 'exit 130' INT TERM HUP

check() { # EXIT-CODE NAME
    number=$((number + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $number - $2"
    else
        failures=$((failures + 1))
        echo "not ok $number - $2"
        sed 's/^/# /' "$T/out" "$T/err"
        tail -n 4 "$T/p1.log" "$T/p2.log" 2>/dev/null | sed 's/^/# /'
    fi
}
until_true() { # SECONDS COMMAND...
    turns=$(($1 * 20))
    shift
    until "$@" >/dev/null 2>&1; do
        turns=$((turns - 1))
        [ "$turns" -gt 0 ] || return 1
        sleep 0.05
    done
}
ready() { grep -q 'ready: connected' "$T/p$1.log"; }
# Both parties with their folders; CONFIG [LIMIT OF BLOCKS OF P2'S FILES].
start() {
    stop
    for i in 1 2; do
        : >"$T/p$i.log"
        blocks=unlimited
        [ "$i" = 2 ] && [ -n "$2" ] && blocks=$2
        # What a limited process says goes through a pipe, which has no size.
        (
            ulimit -f "$blocks"
            trap '' XFSZ
            exec "$cachet" party --config "$1" --key "$T/kept/p$i.key" --shares "$T/kept/set/p$i" $(eval echo "\$spool$i") --threads 1
        ) 2>"$T/p$i.fifo" &
        echo $! >"$T/p$i.pid"
        cat "$T/p$i.fifo" >>"$T/p$i.log" &
    done
    until_true 30 ready 1 && until_true 30 ready 2
}
prepare() { # CONFIG ARGUMENT...
    config=$1
    shift
    "$cachet" prepare --config "$config" --key "$T/kept/client.key" --shares "$T/kept/set/client" "$@" >"$T/out" 2>"$T/err"
}
generate() { # CONFIG ARGUMENT...
    config=$1
    shift
    "$cachet" generate --config "$config" --key "$T/kept/client.key" --shares "$T/kept/set/client" "$@" >"$T/out" 2>"$T/err"
}
says() { grep -q -- "$1" "$T/out" "$T/err"; }
logs() { until_true 3 grep -q -- "$2" "$T/p$1.log"; } # PARTY WORDS
count() { find "$T/s$1" -name '*.text' | wc -l; }
texts() { [ "$(count 1)" -eq "$1" ] && [ "$(count 2)" -eq "$1" ] && [ -z "$(find "$T/s1" "$T/s2" -name '*.partial')" ]; }
first() { find "$T/s$1" -name '*.text' | sort | head -n 1; }
tokens() { sed -n '/"tokens": \[/,/\]/p' "$1" | head -n 5 | tr -d ' \n'; }
survey() { # PARTY
    "$cachet" check --config "$c" --key "$T/kept/p$1.key" --shares "$T/kept/set/p$1" --spool "$T/s$1" >"$T/out" 2>"$T/err"
}

mkfifo "$T/p1.fifo" "$T/p2.fifo"
spool1="--spool $T/s1" spool2="--spool $T/s2"
"$cachet" up --mode two-party --model "$root/tests/support/transformers/qwen2" --max-tokens 1 --context 8 --prompt a --keep "$T/kept" >"$T/out" 2>"$T/err" || {
    echo "Bail out! no deployment: $(cat "$T/err")"
    exit 99
}
c=$T/kept/config.yaml
sed 's/^spool: .*$/spool: {most: 2, dry: refuse}/' "$c" >"$T/refuse.yaml"

start "$c"
check $? 'two parties with folders of their own'
# The first text: later ones begin with COTs that are left over.
prepare "$c" --prompt-tokens 1 --tokens 2 --json && sed -n 's/.*"bytes": \([0-9]*\).*/\1/p' "$T/out" >"$T/made" && rm -f "$(first 1)" "$(first 2)" &&
    "$cachet" cost --model "$root/tests/support/transformers/qwen2" --plan "$T/kept/set/client/plan.json" --context 1 --mode two-party --json >"$T/out" 2>"$T/err" &&
    awk '/"prefill": {/ || /"decode": {/ { take = 1 } take && /"offline_bytes"/ { sub(/.*: /, ""); sum += $0; take = 0 } END { printf "%d\n", sum }' "$T/out" | cmp -s - "$T/made"
check $? 'it takes the bytes that cost declares'
prepare "$c" --prompt-tokens 1 --tokens 2 --texts 2 && says '2 of 2 texts made ahead of use' && texts 2
check $? 'material for two texts is made before any is there'
start "$c"
[ "$(stat -c %a "$T/s1")" = 700 ] && [ "$(stat -c %a "$(first 1)")" = 600 ] && [ "$(first 1 | sed 's/.*s1//')" = "$(first 2 | sed 's/.*s2//')" ]
check $? 'files of one name at both, for their owner alone'
survey 1 && says 'ok   spool .*2 texts wait, as prompt + new tokens: 1+2 (2)'
check $? 'check says what waits'
"$cachet" check --config "$c" --key "$T/kept/client.key" --shares "$T/kept/set/client" >"$T/out" 2>"$T/err" && says 'ok   clock .*P1: ' && says 'ok   clock .*P2: '
check $? 'check of a client knows the two'
generate "$c" --prompt a --max-tokens 2 --ignore-eos --json && says '"material": "made ahead of use"' && says '"texts_left": 1' && says '"offline_bytes": 0.0' && texts 1
check $? 'a request takes one, and nothing is made while it runs'
tokens "$T/out" >"$T/spooled"
"$cachet" generate --backend clear --model "$root/tests/support/transformers/qwen2" --plan "$T/kept/set/client/plan.json" --prompt a --max-tokens 2 --ignore-eos --json \
    >"$T/out" 2>"$T/err" && [ -s "$T/spooled" ] && tokens "$T/out" | cmp -s - "$T/spooled"
check $? 'its tokens are those of the clear'
start "$c" && logs 1 '1+2 (1)' && generate "$c" --prompt z --max-tokens 1 && says 'material made ahead of use; 0 more' && texts 0
check $? 'the other one is used after both have started again, for a shorter answer'
generate "$c" --prompt a --max-tokens 1 && says 'no material waits for a request of 1 prompt tokens' && says 'made before each step, as none waited'
check $? 'then it runs dry: made before each step, and said so'

start "$T/refuse.yaml"
! generate "$T/refuse.yaml" --prompt a --max-tokens 2 && says 'Run .cachet prepare --prompt-tokens 1 --tokens 2. first' && says 'spool.dry: refuse'
check $? 'or refused, as the config has it, with what to run'
prepare "$T/refuse.yaml" --prompt-tokens 1 --tokens 1 --texts 2 && ! prepare "$T/refuse.yaml" --prompt-tokens 1 --tokens 1 && says 'spool is full: 2 texts wait' && texts 2
check $? 'no more than the config allows'
! generate "$T/refuse.yaml" --prompt 'a b' --max-tokens 1 && says 'there is, as prompt + new tokens: 1+1 (2)' && generate "$T/refuse.yaml" --prompt b --max-tokens 1 && texts 1
check $? 'a refusal costs nothing but itself'

# --- files that are not as they were --------------------------------------------------------------------------------------------------
bad=$(first 2)
printf 'X' | dd of="$bad" bs=1 seek=5000 conv=notrunc 2>/dev/null
! generate "$T/refuse.yaml" --prompt a --max-tokens 1 && logs 2 "set aside: $bad: was edited" && logs 1 'P2.*could not use its part' && [ "$(count 1)" -eq 0 ]
check $? 'an edited file is named, and neither party uses its part'
stop
survey 2 && says '1 texts wait'
start "$c" && logs 2 "$bad: the other party does not have its part"
check $? 'it does not count any more'
rm -f "$bad"
prepare "$c" --prompt-tokens 1 --tokens 1 --texts 4 && texts 4
check $? 'more of them'
stop
set -- $(find "$T/s2" -name '*.text' | sort)
cut=$1 open=$2 copy=$3 stolen=$T/s2/$(basename "$4" .text | tr '0-9a-f' '1-9a-f0').text
truncate -s -1 "$cut"
chmod 640 "$open"
cp -p "$T/s1/$(basename "$copy")" "$copy"
cp -p "$4" "$stolen"
! survey 2 && says 'BAD  spool' && says '4 files cannot be used' && says "$cut: has .* cut or added to" && says "$open: others than this user" &&
    says "$copy: its head was edited, or it was written by another party" && says "$stolen: holds text .* a copy under another name"
check $? 'check names what was cut, opened to others, put in from the other party, and copied'
start "$c" && logs 2 "$cut: has" && logs 2 "$open: others" && logs 2 "$copy: its head" && logs 2 "$stolen: holds text" && generate "$c" --prompt a --max-tokens 1 &&
    says 'made ahead of use; 0 more' && generate "$c" --prompt a --max-tokens 1 && says 'as none waited'
check $? 'so do parties, which use what is left once'
rm -f "$T"/s1/* "$T"/s2/*

# --- texts of another deployment: rows of a cache in other slots ---------------------------------------------------------------------------
sed -e '/^cache:/d' "$c" >"$T/window.yaml"
printf 'cache: {policy: window, sinks: 1, window: 4}\n' >>"$T/window.yaml"
sed 's/sinks: 1, window: 4/sinks: 2, window: 3/' "$T/window.yaml" >"$T/other.yaml"
start "$T/window.yaml" && prepare "$T/window.yaml" --prompt-tokens 1 --tokens 1 && texts 1
check $? 'a text under one window'
start "$T/other.yaml" && logs 1 "set aside: $(first 1)" && logs 2 "set aside: $(first 2)" && generate "$T/other.yaml" --prompt a --max-tokens 1 && says 'as none waited'
check $? 'is not used under another one of the same size'
stop
rm -f "$T"/s1/* "$T"/s2/*
start "$c"

# --- folders ----------------------------------------------------------------------------------------------------------------------------
! "$cachet" party --config "$c" --key "$T/kept/p1.key" --shares "$T/kept/set/p1" --spool "$T/s1" >"$T/out" 2>"$T/err" && says 'another process uses it'
check $? 'a folder has one process'
stop
chmod 755 "$T/s1"
! "$cachet" party --config "$c" --key "$T/kept/p1.key" --shares "$T/kept/set/p1" --spool "$T/s1" >"$T/out" 2>"$T/err" && says 'chmod 700'
check $? 'a folder that others can read is refused'
chmod 700 "$T/s1"
spool2=''
start "$c" && ! prepare "$c" --prompt-tokens 1 --tokens 1 && says 'start both parties with --spool DIR' && generate "$c" --prompt a --max-tokens 1 && says 'material made before each step;'
check $? 'one party without a folder: nothing is made ahead, requests are answered'
! { start "$T/refuse.yaml" && generate "$T/refuse.yaml" --prompt a --max-tokens 1; } && says 'there is, as prompt + new tokens: none'
check $? 'which are refused where the config says so'
spool2="--spool $T/s2"

# --- a disk that is full, and ends ------------------------------------------------------------------------------------------------------
start "$c" 20 && ! prepare "$c" --prompt-tokens 1 --tokens 1 && says "$T/s2/.*: cannot be written" && texts 0 && generate "$c" --prompt a --max-tokens 1
check $? "a full disk of one party is named, leaves nothing at either, and requests are answered"
start "$c"
"$cachet" prepare --config "$c" --key "$T/kept/client.key" --shares "$T/kept/set/client" --prompt-tokens 1 --tokens 1 --texts 64 >"$T/out" 2>"$T/err" &
child=$!
one_there() { [ "$(count 1)" -ge 1 ] && [ "$(count 2)" -ge 1 ]; }
until_true 60 one_there
kill -INT $child
wait $child
[ $? -eq 11 ] && says 'texts are complete and stay' && until_true 5 texts "$(sed -n 's/^\([0-9]*\) of 64 texts made.*/\1/p' "$T/out")" && generate "$c" --prompt a --max-tokens 1 &&
    says 'made ahead of use;'
check $? 'stopped with Ctrl-C it keeps what is complete'

# --- what makes no sense ----------------------------------------------------------------------------------------------------------------
! prepare "$c" --prompt-tokens 5 --tokens 4 && says 'more than limits.context, 8, together'
check $? 'texts longer than the context are refused'
! prepare "$c" --prompt-tokens 1 --tokens 1 --texts 65 && says 'spool.most of the config is 64'
check $? 'so are more texts than the config allows'
! prepare "$c" --prompt-tokens 0 --tokens 1 && says 'prompt-tokens'
check $? 'so are texts of nothing'
sed -e 's/^mode: two-party$/mode: three-party/' -e '/^spool:/d' -e 's/^\( *\)p1: {address: "127.0.0.1:[0-9]*", key: "\(.*\)"}$/&\n\1p0: {address: "127.0.0.1:9", key: "KEY"}/' "$c" >"$T/three.yaml"
"$cachet" keygen --out "$T/p0.key" >"$T/out" 2>"$T/err"
key=$(sed -n 's/^key: \(".*"\).*/\1/p' "$T/out")
awk -v key="$key" '{ i = index($0, "\"KEY\""); if (i) $0 = substr($0, 1, i - 1) key substr($0, i + 5); print }' "$T/three.yaml" >"$T/with.yaml"
! prepare "$T/with.yaml" --prompt-tokens 1 --tokens 1 && says 'prepare is for mode two-party'
check $? 'other modes make nothing ahead of use'
printf '\nspool: {dry: make}\n' >>"$T/with.yaml"
! prepare "$T/with.yaml" --prompt-tokens 1 --tokens 1 && says 'spool: belongs to mode two-party'
check $? 'and have no such section'
sed 's/dry: make/dry: wait/' "$c" >"$T/odd.yaml"
! prepare "$T/odd.yaml" --prompt-tokens 1 --tokens 1 && says '"wait" is not make or refuse'
check $? 'a word that the config does not know is named'
echo "1..$number"
[ "$failures" -eq 0 ]
