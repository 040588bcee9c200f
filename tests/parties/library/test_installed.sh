#!/bin/sh
# The library as it is installed: header and pkg-config file in an empty folder, the example compiled with them alone, an answer of three parties.
# test_installed.sh CACHET SOURCE BUILD CC
set -u
. "$2/tests/parties/deployment.sh"
build=$3
cc=$4
command -v pkg-config >/dev/null && command -v meson >/dev/null || {
    echo '1..0 # SKIP pkg-config or meson is missing'
    exit 0
}
where=$T/root
if log=$(DESTDIR=$where meson install -C "$build" --no-rebuild 2>&1); then good "installs"; else bad "installs" "$log"; fi
pc=$(find "$where" -name cachet.pc)
prefix=$(sed -n 's/^prefix=//p' "$pc")
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
flags=$(pkg-config --define-variable=prefix="$where$prefix" --cflags --libs cachet)
library=$(dirname "$(find "$where" -name 'libcachet.so.0')")
# A library with a sanitizer wants a program with the same one.
kind=$(sanitizer_of "$library/libcachet.so.0")
flags="$flags${kind:+ -fsanitize=$kind}"
# shellcheck disable=SC2086 # several flags
if log=$($cc -Wall -Wextra -Werror "$2/parties/library/example.c" $flags -o "$T/run/example" 2>&1); then
    good "the example compiles with header and library alone"
else
    bad "the example compiles with header and library alone" "$log"
fi
others=$(nm -D --defined-only "$library/libcachet.so.0" | awk '{print $3}' | grep -v '^cachet_')
judge "the library shows what the header declares, and nothing else" "$others"
setup
start_all
example() { LD_LIBRARY_PATH=$library "$T/run/example" "$T/config.yaml" "$T/client.key" "$T/set/client" "$1"; }
answer=$(example "Once upon a time" 2>"$T/run/words")
expected=$("$C" generate --backend clear --model "$model" --plan "$T/plan.json" --prompt "Once upon a time" --max-tokens 16 2>/dev/null | head -n 1)
case $answer in
"$expected"*"16 tokens, "*" MB dealt") good "its answer is the model's own" ;;
*) bad "its answer is the model's own" "$answer / $expected / $(cat "$T/run/words")" ;;
esac
LD_LIBRARY_PATH=$library "$T/run/example" "$T/config.yaml" "$T/stranger.key" "$T/set/client" hello >/dev/null 2>"$T/run/words"
status=$?
if [ "$status" -eq 9 ] && grep -q 'lists no client with the key' "$T/run/words"; then
    good "a stranger's key: code 9 and what to do"
else
    bad "a stranger's key: code 9 and what to do" "$status: $(cat "$T/run/words")"
fi
done_testing
