#!/bin/sh
# A mapped file that is cut while its party or client runs: it says which file and what to do, and ends with the code of file errors; the others name
# it. What secrets a live party holds in locked memory.
#
# usage: test_cut_files.sh PROGRAM SOURCE_ROOT
set -u
. "$(dirname "$0")/deployment.sh"
setup
limit_connect=20 # parties come again, one by one, on a busy machine too
write_config "$T/config.yaml"
start_all

# Keys of CURVE alone are two pages; keys of the session and all streams lie in locked memory as well.
complaints=''
for one in p0 p1 p2; do
    locked=$(sed -n 's/^VmLck:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$(pid_of $one)/status")
    [ "$locked" -gt 16 ] || complaints="$complaints$one has $locked kB of locked memory "
    echo "# $one: $locked kB of locked memory"
done
if [ -n "$(sanitizer_of "$C")" ]; then
    cases=$((cases + 1))
    echo "ok $cases - locked memory # SKIP sanitizers lock none"
elif [ "$(ulimit -l)" != unlimited ] && [ "$(ulimit -l)" -lt 1024 ]; then
    cases=$((cases + 1))
    echo "ok $cases - locked memory # SKIP the limit of locked memory is $(ulimit -l) kB"
else
    judge 'parties hold keys and streams in locked memory' "$complaints"
fi

whole=$T/run/whole
for cut in p0 p1 p2; do
    upper=$(echo $cut | tr p P)
    weights=$T/set/$cut/weights.bin
    cp "$weights" "$whole"
    # In place: the party's mapping is of this file.
    : >"$weights"
    start_client alice --max-tokens 6
    complaints=$(
        ends $cut 4 4 "cachet party: error (io): " "$weights" 'was cut, or its disk failed' 'put the whole file back'
        ends alice 8,10,11 6 "$upper"
        for one in $(echo p0 p1 p2 | sed "s/$cut//"); do
            until_true 4 says "$one" "$upper" || echo "$one does not name $upper: $(tail -n 3 "$T/run/$one.log" | cut -c 1-500)"
            [ ! -s "$T/run/$one.code" ] || echo "$one has ended, too"
        done
    )
    running=2
    judge "weights of $upper cut while it runs: it names the file and ends with 4; the others and the client name it" "$complaints$(leftovers)"
    cat "$whole" >"$weights"
    for one in $(echo p0 p1 p2 | sed "s/$cut//"); do kill -TERM "$(pid_of "$one")" && ends "$one" 0 4; done
    running=0
    start_all
    judge "and with the whole file the next answer is right" "$(next_request_works)"
done

settle 'at the end every party stops with exit code 0' "$(stop_all)"
done_testing
