#!/bin/sh
# The picture of the house holds: each floor includes only floors below it, every header compiles alone, no file has grown
# past its limit, and values leave the shares through mpc/opening.c alone.
#
# usage: test_layers.sh SOURCE_ROOT COMPILER...
set -u
root=$1
shift
cd "$root" || exit 1
failures=0

complain() {
    printf '%s\n' "$1"
    failures=$((failures + 1))
}

# --- includes ---------------------------------------------------------------------------------------------------------
below() {
    case $1 in
    base) echo base ;;
    net) echo base net ;;
    kernels) echo base kernels ;;
    mpc) echo base net kernels mpc ;;
    pair) echo base net kernels mpc pair ;;
    protocols) echo base net kernels mpc protocols ;;
    kvcache) echo base net kernels mpc protocols kvcache ;;
    engine) echo base net kernels mpc protocols kvcache engine ;;
    esac
}
floors='base net kernels mpc pair protocols kvcache engine'
for floor in $floors; do
    allowed=$(below "$floor")
    pattern=$(printf '%s' "$allowed" | tr ' ' '|')
    bad=$(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]+"' "$floor" --include='*.c' --include='*.h' --include='*.cu' |
        grep -vE "\"($pattern)/")
    [ -z "$bad" ] || complain "$floor/ may include only: $allowed
$bad"
done
bad=$(grep -rnE '#[[:space:]]*include[[:space:]]+"(tests|bench)/' parties bench --include='*.c' --include='*.h' 2>/dev/null | grep 'tests/')
[ -z "$bad" ] || complain "programs may not include tests/
$bad"

# --- every header alone, every guard its own ----------------------------------------------------------------------------
for header in $(find $floors parties tests -name '*.h' | sort); do
    printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
        "$@" -std=gnu17 -D_GNU_SOURCE -DCACHET_SOURCE_DIR='""' -I. -fsyntax-only -x c - 2>/dev/null || {
        # Headers of tests may ask for cmocka's headers before them.
        case $header in
        tests/*) printf '#include <stdarg.h>\n#include <stddef.h>\n#include <setjmp.h>\n#include <stdint.h>\n#include <cmocka.h>\n#include "%s"\n' "$header" |
            "$@" -std=gnu17 -D_GNU_SOURCE -DCACHET_SOURCE_DIR='""' -I. -fsyntax-only -x c - 2>/dev/null || complain "$header does not compile alone" ;;
        *) complain "$header does not compile alone" ;;
        esac
    }
done
guards=$(grep -rhE '^#ifndef CACHET_[A-Z0-9_]+_H$' $floors parties tests --include='*.h' | sort | uniq -d)
[ -z "$guards" ] || complain "include guards used twice: $guards"

# --- sizes ----------------------------------------------------------------------------------------------------------------
for file in $(find $floors parties tests bench -name .venv -prune -o -name '*.c' -print 2>/dev/null); do
    lines=$(wc -l <"$file")
    [ "$lines" -le 500 ] || complain "$file has $lines lines: 500 at most"
done

# --- openings ---------------------------------------------------------------------------------------------------------------
# only PATTERN WHAT FILE...: product code that matches lies in these files.
only() {
    pattern=$1
    what=$2
    shift 2
    hits=$(grep -rlE "$pattern" $floors --include='*.c' | sort)
    for hit in $hits; do
        case " $* " in
        *" $hit "*) ;;
        *) complain "$hit: $what belongs to: $*" ;;
        esac
    done
}
only 'openings\[[^]]*\] *\+=' 'counting openings' mpc/opening.c
# Values reach the client from mpc/opening.c; what engine/ says to it is public: requests, control words, reports, reasons.
only 'net_link_[a-z_]*\([^,]*->client' 'talking to the client' mpc/opening.c engine/local.c engine/remote.c engine/session.c engine/session_run.c
only 'mpc_queue\(' 'queueing an opening' mpc/lift.c mpc/opening.c mpc/party.c mpc/product.c protocols/compare.c
# session_run.c: the word without content by which P1 and P2 part.
only 'net_link_exchange\(' 'exchanging messages' net/link.c mpc/party.c pair/party.c protocols/shuffle.c engine/session_part.c
only 'mpc_open_to_(client|parties)\([^;]*MPC_OPEN_TEST' 'opening under the entry of tests' none

[ "$failures" -eq 0 ] || {
    printf '%d failures\n' "$failures"
    exit 1
}
printf 'the floors, headers, sizes and openings are as drawn\n'
