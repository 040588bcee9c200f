#!/bin/sh
# The units as systemd reads them, how much they leave open, and that every flag in them is one of the program.
#
# usage: test_units.sh CACHET UNIT...
set -u
program=$1
shift
command -v systemd-analyze >/dev/null || {
    echo "skipped: systemd-analyze is missing (package systemd)" >&2
    exit 77
}
work=$(mktemp -d "${TMPDIR:-/tmp}/cachet-units.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
failures=0
bad() {
    echo "$1" >&2
    failures=$((failures + 1))
}
most=20 # of 100; the parts left are sockets, and what a party reads

for unit in "$@"; do
    name=$(basename "$unit")
    grep -q '@[a-z]*@' "$unit" && bad "$name: a word of the template is left"
    # The program need not be installed: the one that was built stands for it.
    sed "s,^ExecStart=[^ ]*,ExecStart=$(realpath "$program")," "$unit" >"$work/$name"
    systemd-analyze verify --man=no "$work/$name" >"$work/said" 2>&1 || bad "$name is refused"
    # Other units of this machine may have faults of their own.
    grep -F "$name" "$work/said" >"$work/ours" && bad "$name: $(cat "$work/ours")"
    systemd-analyze security --no-pager --offline=true --threshold=$most "$work/$name" >"$work/said" 2>&1 ||
        bad "$name leaves too much open: $(grep -v '✓' "$work/said")"
    # shellcheck disable=SC2046 # the words of the command line
    set -- $(sed -n 's/^ExecStart=[^ ]*//p' "$unit")
    "$program" --help | grep -q "^  $1 " || {
        echo "$name: this build has no command $1" >&2
        continue
    }
    for word; do
        case $word in --*) "$program" "$1" --help | grep -q -- "$word=" || bad "$name: cachet $1 has no flag $word" ;; esac
    done
done
# A unit that is open must be found, or the threshold says nothing.
grep -v -E '^(Protect|Private|Restrict|SystemCall|NoNew|Capability|User)' "$work/cachet-party.service" >"$work/open.service"
systemd-analyze security --no-pager --offline=true --threshold=$most "$work/open.service" >/dev/null 2>&1 &&
    bad "a unit without its hardening passes, too"
[ $failures -eq 0 ]
