#!/bin/sh
# A request over links that the kernel makes: P0, P1, P2 and a client each in a network namespace of its own, on one bridge, delay and rate by
# tc netem. Where `cachet relay` gives each connection a link, here all connections of one end share its way out.
#
# usage: bench/netns.sh LINK DIR [FLAG...]
#   LINK   rtt=MS[:mbit=N][:jitter=MS], or loopback; `cachet relay --help` lists presets in this form
#   DIR    a deployment, as `cachet up --keep DIR` leaves it
#   FLAG   of `cachet generate`, as --prompt TEXT --max-tokens 8
# $CACHET is the program (default build/cachet). Needs root, ip and tc, and a kernel with netem; else says what is missing and exits with 77.
set -eu

missing() {
    echo "netns.sh: $1 is missing: use cachet relay" >&2
    exit 77
}
[ $# -ge 2 ] || {
    sed -n 's/^# usage: /usage: /p' "$0" >&2
    exit 2
}
link=$1 directory=$2
shift 2
program=$(realpath "${CACHET:-build/cachet}")
[ "$(id -u)" -eq 0 ] || missing "root"
command -v ip >/dev/null || missing "ip (package iproute2)"
command -v tc >/dev/null || missing "tc (package iproute2)"

delay='' rate='' jitter=''
for part in $(echo "$link" | tr ':' ' '); do
    case $part in
    loopback) ;;
    rtt=*) delay=$(awk "BEGIN { print ${part#rtt=} / 2 }") ;;
    jitter=*) jitter=${part#jitter=} ;;
    mbit=*) rate=${part#mbit=} ;;
    *) echo "netns.sh: link \"$link\": \"$part\" is none of rtt=, jitter=, mbit=" >&2; exit 2 ;;
    esac
done
shape="${delay:+delay ${delay}ms ${jitter:+${jitter}ms}} ${rate:+rate ${rate}mbit} limit 100000"

name=cachet$$ # of the namespaces; the bridge lies in one of its own
work=$(mktemp -d)
parties=''
finish() {
    for party in $parties; do kill "$party" 2>/dev/null || true; done
    wait
    for end in bridge p0 p1 p2 client; do ip netns delete "$name-$end" 2>/dev/null || true; done
    rm -r "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

ip netns add "$name-bridge" || missing "a kernel with network namespaces"
ip -n "$name-bridge" link add bridge type bridge || missing "a kernel with bridges"
ip -n "$name-bridge" link set bridge up
number=1
for end in p0 p1 p2 client; do
    ip netns add "$name-$end"
    ip -n "$name-$end" link add out type veth peer name "to-$end" netns "$name-bridge"
    ip -n "$name-bridge" link set "to-$end" master bridge up
    ip -n "$name-$end" address add "10.77.0.$number/24" dev out
    ip -n "$name-$end" link set lo up
    ip -n "$name-$end" link set out up
    # shellcheck disable=SC2086 # several words
    ip netns exec "$name-$end" tc qdisc add dev out root netem $shape 2>"$work/tc" || {
        cat "$work/tc" >&2
        missing "netem in this kernel (CONFIG_NET_SCH_NETEM, module sch_netem)"
    }
    number=$((number + 1))
done

# The same deployment at the addresses of the namespaces.
sed "s/^\( *\)p0: \(.*\)127\.0\.0\.1:/\1p0: \210.77.0.1:/; s/^\( *\)p1: \(.*\)127\.0\.0\.1:/\1p1: \210.77.0.2:/
    s/^\( *\)p2: \(.*\)127\.0\.0\.1:/\1p2: \210.77.0.3:/" "$directory/config.yaml" >"$work/config.yaml"
for end in p0 p1 p2; do
    ip netns exec "$name-$end" "$program" party --config "$work/config.yaml" --key "$directory/$end.key" --shares "$directory/set/$end" \
        --log-level warning &
    parties="$parties $!"
done
ip netns exec "$name-client" "$program" generate --config "$work/config.yaml" --key "$directory/client.key" --shares "$directory/set/client" "$@"
