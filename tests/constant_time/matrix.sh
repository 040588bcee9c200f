#!/bin/sh
# The constant-time checks of what each compiler makes of the code at each optimization, for a compiler may turn a selection into a branch
# where another one does not. Prints a row for each build; the suite itself checks the build that it is run for.
#
# usage: matrix.sh SOURCE_DIR BUILD_PREFIX [COMPILER ...]      builds and keeps BUILD_PREFIX-COMPILER-LEVEL; default: gcc clang
set -u
source=$1
prefix=$2
shift 2
[ $# -gt 0 ] || set -- gcc clang
programs="kernels gates decoder pair two_gates"
checks="$programs divisions"
failed=0
command -v valgrind >/dev/null || { echo "matrix.sh: valgrind is not installed: nothing can be checked" >&2; exit 1; }

# The word that a test's line in the log of a run ends in: ok, FAIL, or missing.
verdict() {
    case $(grep "constant_time_$1 " "$2" | head -1) in
    *" OK "*) echo ok ;;
    *" FAIL "* | *" TIMEOUT "* | *" ERROR "*) echo FAIL ;;
    *) echo missing ;;
    esac
}

printf '%-10s %-5s' compiler level
printf ' %-10s' $checks
echo
for compiler in "$@"; do
    command -v "$compiler" >/dev/null || { echo "matrix.sh: $compiler is not installed" >&2; exit 1; }
    for level in 2 3; do
        build=$prefix-$compiler-O$level
        log=$build/constant-time.log
        if [ ! -f "$build/build.ninja" ]; then
            CC=$compiler meson setup "$build" "$source" -Doptimization="$level" -Ddebug=false >/dev/null || exit 1
        fi
        ninja -C "$build" $(printf 'tests/constant_time/constant_time_%s ' $programs) >"$log" 2>&1 || { tail -20 "$log"; exit 1; }
        meson test -C "$build" --no-rebuild --suite constant_time --timeout-multiplier 5 >"$log" 2>&1
        printf '%-10s -O%-3s' "$compiler" "$level"
        for check in $checks; do
            found=$(verdict "$check" "$log")
            [ "$found" = ok ] || failed=$((failed + 1))
            printf ' %-10s' "$found"
        done
        echo
    done
done
echo "branches, indices or divisions on secrets: $failed"
[ "$failed" -eq 0 ]
