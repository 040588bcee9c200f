#!/bin/sh
# A disk that is full, a folder where nobody may write, no more files that can be opened: each command that writes or connects ends with one
# named error and leaves nothing half written; none is ended by a signal.
#
# usage: test_files.sh PROGRAM SOURCE_ROOT
set -u
. "$(dirname "$0")/../parties/deployment.sh"
setup

# --- a full disk: no byte more than the limit, in blocks of 512 ---------------------------------------------------------------
# BLOCKS COMMAND...; what it says goes through a pipe, which has no size.
cat >"$T/full" <<'END'
#!/bin/sh
blocks=$1
shift
{ ( (ulimit -f "$blocks"; trap "" XFSZ; exec "$@" >/dev/null); echo $? >&3) 2>&1 | cat >&2; } 3>"$0.code"
exit "$(cat "$0.code")"
END
chmod +x "$T/full"
evaluate() { # OUT
    echo "$C" eval --model "$model" --context 128 --task ppl --prompts 1 --policy window --budget 50 --out "$1"
}
refused 'keygen, disk full' 4 10 "$T/out/k" -- "$T/full" 0 "$C" keygen --out "$T/out/k"
refused 'plan, disk full' 4 60 "$T/out/plan.json" -- "$T/full" 1 "$C" plan --model "$model" --context 16 --out "$T/out/plan.json"
for blocks in 0 8 20000; do
    refused "share, disk full after $blocks blocks" 4 30 "$T/out/set" -- "$T/full" $blocks "$C" share --model "$model" --plan "$T/plan.json" --out "$T/out/set"
done
# shellcheck disable=SC2046 # words of a command
refused 'eval, disk full' 4 60 "$T/out/e.json" -- "$T/full" 0 $(evaluate "$T/out/e.json")
# A file that was there stays as it was.
cp "$T/plan.json" "$T/kept.json"
refused 'plan over another, disk full' 4 60 "$T/kept.json" -- "$T/full" 1 "$C" plan --model "$model" --context 16 --out "$T/kept.json"
judge 'and the other plan is whole' "$(cmp "$T/plan.json" "$T/kept.json")"

# --- a folder where nobody may write -------------------------------------------------------------------------------------------
refused 'keygen, no place to write' 4 10 /proc/cachet.key -- "$C" keygen --out /proc/cachet.key
refused 'plan, no place to write' 4 60 /proc/plan.json -- "$C" plan --model "$model" --context 16 --out /proc/plan.json
# shellcheck disable=SC2046
refused 'eval, no place to write' 4 60 /proc/e.json -- $(evaluate /proc/e.json)

# --- no more files -----------------------------------------------------------------------------------------------------------------
few() { # LIMIT COMMAND...
    limit=$1
    shift
    sh -c 'ulimit -n "$1"; shift; exec "$@"' sh "$limit" "$@"
}
start_all
# Not `timeout`, which needs files itself: deadlines of the commands are those of the deployment.
starved() { # LIMIT NAME COMMAND...: works, or ends with a named error of few files
    limit=$1 name=$2
    shift 2
    few "$limit" "$@" >"$T/run/stdout" 2>"$T/run/stderr" </dev/null
    code=$?
    [ "$code" -eq 0 ] && return
    case $code in
    3 | 4) judge_error "$T/run/stderr" 'open' ;;
    127) grep -q 'error while loading shared libraries' "$T/run/stderr" || echo "$(cat "$T/run/stderr")" ;;
    *) echo "exit code $code: $(head -c 400 "$T/run/stderr")" ;;
    esac | sed "s/^/$name with $limit files: /"
}
for limit in 3 4 5 7 9 13 23 66; do
    complaints=$(
        starved $limit keygen "$C" keygen --out "$T/out/k"
        starved $limit share "$C" share --model "$model" --plan "$T/plan.json" --out "$T/out/set"
        starved $limit party "$C" party --config "$T/config.yaml" --key "$T/p0.key" --shares "$T/set/p0"
        starved $limit generate "$C" generate --config "$T/config.yaml" --key "$T/client.key" --shares "$T/set/client" --prompt 'One day' --max-tokens 2
    )
    rm -rf "$T/out/k" "$T/out/set"
    judge "$limit files at most: keygen, share, party and generate work or say so" "$complaints$(leftovers)"
done
for limit in 4 6; do
    # shellcheck disable=SC2046
    complaints=$(starved $limit plan "$C" plan --model "$model" --context 16 --out "$T/out/plan.json"; starved $limit eval $(evaluate "$T/out/e.json"))
    rm -f "$T/out/plan.json" "$T/out/e.json"
    judge "$limit files at most: plan and eval work or say so" "$complaints$(leftovers)"
done
judge 'the next answer is right' "$(next_request_works)"
done_testing
