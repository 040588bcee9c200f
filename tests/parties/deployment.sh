# shellcheck shell=sh
# What the tests of the program share: one good deployment in a temporary directory, ways to derive bad ones from it, and judgement of how a
# command failed. Sourced with $1 (the program) and $2 (the source root); prints TAP.
#
#   $T/set/{p0,p1,p2,client}  $T/{p0,p1,p2,client,bob,stranger}.key  $T/plan.json  $T/config.yaml    good, never changed
#   $T/hasty.yaml                                                      the same config but for a wait of one second at start
#   $T/out                                                             where refused commands would write: stays empty
#   $T/run                                                             logs, process ids and exit codes

if ! command -v pgrep >/dev/null || ! command -v timeout >/dev/null; then
    echo '1..0 # SKIP pgrep or timeout is missing'
    exit 0
fi
C=$1
model=$2/models/keeper
T=$(mktemp -d "${TMPDIR:-/tmp}/cachet-test.XXXXXX") || exit 99
mkdir "$T/out" "$T/run"
cases=0
failures=0
running=0 # processes that should be alive
LC_ALL=C
export LC_ALL
slow=${CACHET_TEST_SLOW:-1} # how much longer everything takes than in a release (tests/README.md)
# shellcheck disable=SC2046 # one name a line
unset $(env | sed -n 's/^\(CACHET_[A-Z_]*\)=.*/\1/p') nothing # flags that a user has in the environment

signal_all() {
    for file in "$T"/run/*.pid; do
        [ -f "$file" ] && kill "-$1" "$(cat "$file")" 2>/dev/null
    done
}
finish() {
    status=$?
    signal_all KILL
    rm -rf "$T"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# Of a program or library: address, thread, or nothing.
sanitizer_of() {
    for kind in address thread; do
        if grep -q "__$(echo $kind | cut -c 1)san_init" "$1"; then echo $kind; fi
    done
}

# --- TAP --------------------------------------------------------------------------------------------------------------
good() {
    cases=$((cases + 1))
    printf 'ok %d - %s\n' "$cases" "$1"
}
bad() { # NAME WHY
    cases=$((cases + 1))
    failures=$((failures + 1))
    printf 'not ok %d - %s\n' "$cases" "$1"
    printf '%s\n' "$2" | sed 's/^/# /'
}
# Judges a case by the complaints that have come together.
judge() { # NAME COMPLAINTS
    if [ -z "$2" ]; then good "$1"; else bad "$1" "$2"; fi
}
done_testing() {
    signal_all TERM
    until_true 6 nobody_left || true
    running=0
    judge "no process and no half-made file is left" "$(leftovers)"
    printf '1..%d\n' "$cases"
    [ "$failures" -eq 0 ]
}
fatal() {
    echo "Bail out! $1"
    exit 99
}

# --- waiting ------------------------------------------------------------------------------------------------------------
now_ms() { echo $(($(date +%s%N) / 1000000)); }
# Polls a command until it succeeds. A busy machine gets twice the time: what never ends is found all the same.
until_true() { # SECONDS COMMAND...
    deadline=$(($(now_ms) + $1 * 2000 * slow))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(now_ms)" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}
own_processes() { pgrep -f -- "$T" | wc -l; }
nobody_left() { [ "$(own_processes)" -eq 0 ]; }

# --- judgement ------------------------------------------------------------------------------------------------------------
leftovers() {
    [ "$(own_processes)" -eq "$running" ] || echo "processes left, $running expected: $(pgrep -af -- "$T" | cut -c 1-160)"
    [ -z "$(ls -A "$T/out")" ] || echo "files left: $(ls -A "$T/out")"
    find "$T" -name '*.partial*' -o -name '*.tmp*' | sed 's/^/half-made file left: /'
}
# Complaints about an error text: one line, the named words in it, nothing but printable text, nothing of a prompt.
judge_error() { # FILE WORD...
    file=$1
    shift
    grep -vE '^20[0-9-]{8}T' "$file" >"$T/run/error" # without log lines
    lines=$(wc -l <"$T/run/error")
    [ "$lines" -eq 1 ] || echo "$lines lines of error, 1 expected: $(head -c 600 "$T/run/error")"
    grep -qE '^cachet [a-z]+: error \([a-z]+\): ' "$T/run/error" || echo "not an error of the program: $(head -c 300 "$T/run/error")"
    ! grep -q '[[:cntrl:]]' "$T/run/error" || echo "control characters in: $(head -c 300 "$T/run/error")"
    ! grep -q "zanzibar" "$T/run/error" || echo "the prompt is in the error"
    for word; do
        grep -qF -- "$word" "$T/run/error" || echo "\"$word\" is missing in: $(head -c 900 "$T/run/error")"
    done
}
# A command that must fail: with this exit code (or one of several, as 4,5), within SECONDS, with one line of error that holds every WORD,
# and without leaving anything.
refused() { # NAME CODES SECONDS WORD... -- COMMAND...
    name=$1 codes=$2 seconds=$3 words=''
    shift 3
    newline='
'
    while [ "$1" != -- ]; do
        words="$words$1$newline"
        shift
    done
    shift
    timeout -k 1 "$seconds" "$@" >"$T/run/stdout" 2>"$T/run/stderr" </dev/null
    code=$?
    old=$IFS
    IFS=$newline
    set -f
    # shellcheck disable=SC2086 # one word a line
    complaints=$(judge_error "$T/run/stderr" $words)
    set +f
    IFS=$old
    case ,$codes, in
    *,$code,*) ;;
    *) complaints="exit code $code, expected $codes (124 is out of time)$newline$complaints" ;;
    esac
    judge "$name" "$complaints$(leftovers)"
    find "$T/out" -mindepth 1 -delete
}
# A command that must succeed.
works() { # NAME SECONDS COMMAND...
    name=$1 seconds=$2
    shift 2
    timeout -k 1 "$seconds" "$@" >"$T/run/stdout" 2>"$T/run/stderr" </dev/null
    code=$?
    if [ "$code" -eq 0 ]; then
        judge "$name" "$(leftovers)"
    else
        bad "$name" "exit code $code: $(head -c 900 "$T/run/stderr")"
    fi
}

# --- the good deployment ----------------------------------------------------------------------------------------------------
field() { sed -n "s/^ \"$2\": \"\([^\"]*\)\",*$/\1/p" "$1"; } # FILE NAME, of a manifest
port_free() { ! awk '$4 == "0A" { print $2 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -qi ":$(printf '%04X' "$1")\$"; }
# Nine free ports in a row, in a block that depends on the process, so that tests beside each other do not meet.
find_ports() {
    block=$(($$ % 900))
    for try in $(seq 1 50); do
        port=$((21000 + block * 10))
        busy=0
        for offset in 0 1 2 3 4 5 6 7 8; do
            port_free $((port + offset)) || busy=1
        done
        [ "$busy" -eq 1 ] || return 0
        block=$(((block + 37 * try) % 900))
    done
    fatal "no nine free ports in a row"
}
write_config() { # FILE, with limits and keys as they are in the variables
    cat >"$1" <<END
version: 1
mode: three-party
parties:
  p0: {address: "127.0.0.1:$port", key: $key_p0}
  p1: {address: "127.0.0.1:$((port + 3))", key: $key_p1}
  p2: {address: "127.0.0.1:$((port + 6))", key: $key_p2}
clients:
  - {name: alice, key: $key_client}
  - {name: bob, key: $key_bob}
model: {digest: $(field "$T/set/p0/manifest.json" model), plan: $(field "$T/set/p0/manifest.json" plan), shares: $(field "$T/set/p0/manifest.json" set)}
limits: {context: $limit_context, connect_seconds: $limit_connect, step_seconds: $limit_step}
END
}
setup() {
    for end in p0 p1 p2 client bob stranger; do
        key=$("$C" keygen --out "$T/$end.key" | sed 's/^key: //') && [ -n "$key" ] || fatal "keygen fails"
        eval "key_$end=\$key"
    done
    "$C" plan --model "$model" --context 128 --out "$T/plan.json" >/dev/null || fatal "plan fails"
    "$C" share --model "$model" --plan "$T/plan.json" --out "$T/set" >/dev/null || fatal "share fails"
    limit_context=128 limit_connect=$((3 * slow)) limit_step=$((3 * slow))
    find_ports
    write_config "$T/config.yaml"
    limit_connect=$slow
    write_config "$T/hasty.yaml"
    limit_connect=$((3 * slow))
    "$C" generate --backend clear --model "$model" --plan "$T/plan.json" --prompt 'One day' --max-tokens 6 >"$T/run/expected" || fatal "the clear backend fails"
    expected=$(head -n 1 "$T/run/expected")
}
# A copy of one good directory to be spoiled. Its weights are the good ones, linked: spoil them only after own_weights.
derive() { # NAME ROLE
    cp -rl "$T/set/$2" "$T/$1"
}
own_weights() { # NAME
    cp "$T/$1/weights.bin" "$T/$1/copy" && mv "$T/$1/copy" "$T/$1/weights.bin"
}

# --- parties and clients as processes: run/NAME.pid, NAME.log, and NAME.code at the end ---------------------------------------
launch() { # NAME COMMAND...
    who=$1
    shift
    rm -f "$T/run/$who".*
    (
        trap - EXIT
        "$@" >"$T/run/$who.out" 2>"$T/run/$who.log" </dev/null &
        echo $! >"$T/run/$who.pid"
        wait $!
        echo $? >"$T/run/$who.code"
    ) >/dev/null 2>&1 &
    running=$((running + 1))
    until_true 2 test -s "$T/run/$who.pid" || fatal "cannot start $who"
}
# Party p0, p1 or p2; later flags win.
start() { # NAME [FLAG...]
    who=$1
    shift
    launch "$who" "$C" party --config "$T/config.yaml" --key "$T/$who.key" --shares "$T/set/$who" "$@"
}
ask() { # FLAG...: a request of the good client
    "$C" generate --config "$T/config.yaml" --key "$T/client.key" --shares "$T/set/client" --prompt 'One day' "$@"
}
start_client() { # NAME FLAG...: the same in the background
    who=$1
    shift
    launch "$who" "$C" generate --config "$T/config.yaml" --key "$T/client.key" --shares "$T/set/client" --prompt 'One day' "$@"
}
pid_of() { cat "$T/run/$1.pid"; }
says() { grep -qF -- "$2" "$T/run/$1.log"; } # NAME TEXT
# Waits for a line in a party's log; prints a complaint otherwise.
hear() { # NAME SECONDS TEXT
    until_true "$2" says "$1" "$3" || echo "$1 does not say \"$3\" within $2 s: $(tail -n 3 "$T/run/$1.log" | cut -c 1-500)"
}
ready() { # NAME...
    for party; do hear "$party" 8 'ready: connected'; done
}
# Waits for the end of a party or client; complaints about time, exit code and error.
ends() { # NAME CODES SECONDS [WORD...]
    who=$1 codes=$2 seconds=$3
    shift 3
    until_true "$seconds" test -s "$T/run/$who.code" || {
        echo "$who still runs after $seconds s"
        kill -KILL "$(pid_of "$who")"
        until_true 2 test -s "$T/run/$who.code"
    }
    case ,$codes, in
    *,$(cat "$T/run/$who.code"),*) ;;
    *) echo "$who: exit code $(cat "$T/run/$who.code"), expected $codes: $(tail -n 2 "$T/run/$who.log" | cut -c 1-500)" ;;
    esac
    [ "$codes" = 0 ] || judge_error "$T/run/$who.log" "$@"
    rm -f "$T/run/$who.pid"
}
stop_all() {
    signal_all TERM
    for file in "$T"/run/*.pid; do
        [ -f "$file" ] && ends "$(basename "$file" .pid)" 0 4
    done
}
start_all() {
    for one in p0 p1 p2; do start "$one"; done
    complaints=$(ready p0 p1 p2)
    [ -z "$complaints" ] || bad 'three good parties meet' "$complaints"
}
# A party that still takes leave of the last client says that it is busy, try again: so does this, for at most ten tries of a second each.
next_request_works() {
    tries=0
    until ask --max-tokens 6 >"$T/run/stdout" 2>"$T/run/stderr" || ! grep -q 'busy with another session' "$T/run/stderr" || [ "$tries" -ge 10 ]; do
        tries=$((tries + 1))
    done
    [ -s "$T/run/stdout" ] || {
        echo "the next request fails: $(cat "$T/run/stderr")"
        return
    }
    answer=$(head -n 1 "$T/run/stdout")
    [ "$answer" = "$expected" ] || echo "the next answer is \"$answer\", the model in the clear says \"$expected\""
}
settle() { # NAME COMPLAINTS: a case after which nobody runs any more
    stop_all >/dev/null
    running=0
    judge "$1" "$2$(leftovers)"
}
