#!/bin/sh
# The rehearsal of a deployment: it goes well, keeps what it is asked to keep, refuses bad flags, and leaves neither process nor file, also
# when it is asked to stop in the middle.
#
# usage: test_rehearse.sh CACHET SOURCE_ROOT
set -u
CACHET=$1
export CACHET
rehearse=$2/parties/deploy/rehearse
work=$(mktemp -d "${TMPDIR:-/tmp}/cachet-test-rehearse.XXXXXX") || exit 99
TMPDIR=$work/tmp
export TMPDIR
mkdir "$TMPDIR"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
failures=0
bad() {
    echo "$1" >&2
    failures=$((failures + 1))
}
nothing_left() { # WHEN
    [ -z "$(ls -A "$TMPDIR")" ] || bad "$1: files are left: $(ls "$TMPDIR")"
    ! pgrep -f -- "$work" >"$work/left" || bad "$1: processes are left: $(cat "$work/left")"
}

"$rehearse" --link rtt=4:mbit=500 --max-tokens 3 --context 64 --keep "$work/kept" >"$work/out" 2>"$work/errors"
code=$?
if [ $code -eq 77 ]; then
    cat "$work/errors" >&2
    exit 77
fi
[ $code -eq 0 ] || bad "it fails with $code: $(tail -n 5 "$work/out" "$work/errors")"
[ "$(grep -c '^ok   link ' "$work/out")" -eq 9 ] || bad "not nine good links: $(grep ' link ' "$work/out")"
! grep '^BAD' "$work/out" || bad "a check is not good"
# The link is there: no client's round trip is shorter than what was asked for.
sed -n 's/.*round trip \([0-9.]*\) ms.*/\1/p' "$work/out" >"$work/trips"
awk '$1 < 4 { short++ } END { exit !(NR == 3 && !short) }' "$work/trips" || bad "round trips: $(cat "$work/trips")"
grep -q '^decode  *2 ' "$work/out" || bad "no table: $(tail -n 12 "$work/out")"
grep -q '^rehearsed: ' "$work/out" || bad "it does not say that it is done"
# Each host has the same config, as docs/deploy.md has it, and its own key and shares.
for host in p0 p1 p2 client; do
    cmp "$work/kept/p0/config.yaml" "$work/kept/$host/config.yaml" || bad "$host has another config"
    for file in own.key shares/manifest.json; do [ -f "$work/kept/$host/$file" ] || bad "$host has no $file"; done
done
grep -q '^  p1: {address: "10\.0\.0\.11:7100"' "$work/kept/p1/config.yaml" || bad "not the addresses of the hosts"
nothing_left "after all went well"

for flags in '--link nowhere' '--link rtt=fast' '--frob 1' '--link' "--keep $work/kept"; do
    # shellcheck disable=SC2086 # a flag and its value
    "$rehearse" $flags >"$work/out" 2>"$work/errors"
    code=$?
    [ "$code $(wc -l <"$work/errors")" = "2 1" ] || bad "$flags: exit code $code, $(cat "$work/errors")"
done
"$rehearse" --context 64 --policy nonsense >"$work/out" 2>"$work/errors"
code=$?
[ $code -eq 1 ] || bad "a bad policy: exit code $code"
grep -q 'no cache policy "nonsense"' "$work/errors" || bad "a bad policy: $(cat "$work/errors")"
nothing_left "after what was refused"

"$rehearse" --link wan --context 256 --max-tokens 200 >"$work/out" 2>&1 &
rehearsal=$!
tries=0
until grep -q 'cachet generate' "$work/out"; do
    tries=$((tries + 1))
    if [ $tries -gt 1200 ] || ! kill -0 $rehearsal; then
        bad "no request begins: $(tail -n 5 "$work/out")"
        break
    fi
    sleep 0.1
done
kill -TERM $rehearsal
wait $rehearsal
code=$?
[ $code -eq 143 ] || bad "asked to stop it ends with $code"
nothing_left "asked to stop"
[ $failures -eq 0 ]
