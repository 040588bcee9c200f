#!/bin/sh
# The first run on a GPU, and any later one: first that it computes what the CPU computes, then how fast. Nothing is measured on a device that is wrong.
#
# usage: bench/device.sh [cuda:N] [DIR]
#   DIR   of results (default bench/results/ and the GPU's name, h200 for an NVIDIA H200), replaced whole
# $BUILD is a build with CUDA (default build). $SHAPES are the shapes of the requests (default gpt2,smollm2-135m,llama-7b), $CONTEXT the cached rows
# (default 512). A GPU that is missing ends it with 77.
set -eu

device=${1:-cuda:0} directory=${2:-}
build=${BUILD:-build} shapes=${SHAPES:-gpt2,smollm2-135m,llama-7b} context=${CONTEXT:-512}
cachet=$build/cachet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

say() { printf '%s\n' "$*" >&2; }

# --- correct? ---
say "1. what the device is, and its products beside the CPU's"
code=0
"$build/bench/cuda-check" "$device" >"$work/cuda-check.txt" || code=$?
[ "$code" -eq 0 ] || exit "$code"
say "2. every slot beside the scalar level"
for check in bit dcf dpf elementwise gates gemm prg table; do
    "$build/tests/kernels/check_cuda_$check" >"$work/check.txt" 2>&1 || {
        cat "$work/check.txt" >&2
        say "device.sh: $check differs: do not use this device"
        exit 1
    }
done
say "3. three parties on it, and every token beside the model in the clear"
"$cachet" up --model models/keeper --prompt "One day" --max-tokens 16 --compare --device "$device" --verbose >"$work/answer.txt" 2>&1 || {
    cat "$work/answer.txt" >&2
    exit 1
}
grep -q 'every one of the 16 tokens is the one' "$work/answer.txt" || {
    cat "$work/answer.txt" >&2
    say "device.sh: another token than the clear's: do not use this device"
    exit 1
}

# --- how fast? ---
name=$(sed -n '1s/^cuda:[0-9]*: \([^,]*\),.*/\1/p' "$work/cuda-check.txt")
if [ -z "$directory" ]; then
    directory=bench/results/$(printf '%s' "$name" | sed 's/^NVIDIA //; s/ .*//' | tr '[:upper:]' '[:lower:]' | tr -c 'a-z0-9\n' '-')
fi
rm -rf "$directory"
mkdir -p "$directory"
cp "$work/cuda-check.txt" "$directory/"
# Of the request above, from the opening to the end: what each party's device did, and how often it was waited for.
sed -n 's/^.* \(P[012]\) device: \(.*waited for.*\)/\1: \2/p' "$work/answer.txt" >"$directory/waits.txt"
say "4. the slots"
"$cachet" bench kernels --device "$device" >"$directory/kernels.md"
say "5. requests: a decode step on it and on the CPU, all three parties on this machine"
for where in device cpu; do
    if [ "$where" = device ]; then
        CACHET_DEVICE=$device
        export CACHET_DEVICE
    else
        unset CACHET_DEVICE
    fi
    "$cachet" bench --shape "$shapes" --one-layer --layers 4 --context "$context" --made-up-rows --new-tokens 4 --warm-ups 1 --repeats 3 >"$directory/requests-$where.md"
done
cat >"$directory/README.md" <<END
# $name

Checked first: every slot beside the scalar level (\`check_cuda_*\`), and 16 tokens of three parties on it beside the model in the clear.

| file | command |
|---|---|
| \`cuda-check.txt\` | \`build/bench/cuda-check $device\` |
| \`waits.txt\` | \`cachet up --model models/keeper --prompt "One day" --max-tokens 16 --device $device --verbose\`: what each party's device did, and how often it was waited for |
| \`kernels.md\` | \`build/cachet bench kernels --device $device\` |
| \`requests-device.md\`, \`requests-cpu.md\` | \`cachet bench --shape $shapes --one-layer --layers 4 --context $context --made-up-rows --new-tokens 4\`, with and without \`CACHET_DEVICE=$device\` |
END
say "written to $directory"
