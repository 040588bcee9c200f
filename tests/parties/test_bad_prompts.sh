#!/bin/sh
# Prompts and flags that make no sense, and those that only look so: refused by name or answered, never a prompt in an error.
#
# usage: test_bad_prompts.sh PROGRAM SOURCE_ROOT
set -u
. "$(dirname "$0")/deployment.sh"
setup

generate() { # NAME CODES WORD... -- FLAG... : refused before any party is asked
    name=$1 codes=$2 words=''
    shift 2
    while [ "$1" != -- ]; do
        words="$words $1"
        shift
    done
    shift
    # shellcheck disable=SC2086 # words without spaces
    refused "$name" "$codes" 10 $words -- "$C" generate --config "$T/config.yaml" --key "$T/client.key" --shares "$T/set/client" "$@"
}
clear_works() { # NAME FLAG...: answered by the plaintext twin
    name=$1
    shift
    works "$name" 10 "$C" generate --backend clear --model "$model" --plan "$T/plan.json" --max-tokens 2 "$@"
}
in_file() { # TEXT for printf
    # shellcheck disable=SC2059 # the text is a format
    printf "$1" >"$T/prompt.txt"
}
P=$T/prompt.txt

# --- the prompt ------------------------------------------------------------------------------------------------------------
generate 'no prompt' 2 --prompt --prompt-file --
generate 'both prompt and file' 2 --prompt --prompt-file -- --prompt zanzibar --prompt-file "$P"
generate 'empty prompt' 2 --prompt empty -- --prompt ''
generate 'prompt flag without a value' 2 prompt -- --prompt
generate 'prompt file missing' 4 "$T/none.txt" -- --prompt-file "$T/none.txt"
generate 'prompt file is a directory' 4 "$T" -- --prompt-file "$T"
: >"$P"
generate 'prompt file empty' 2,4 "$P" -- --prompt-file "$P"
generate 'prompt on an empty standard input' 2 'standard input' empty -- --prompt-file -
in_file 'zanzibar \377\376'
generate 'prompt file that is not UTF-8' 2,5 "$P" UTF-8 9 -- --prompt-file "$P"
in_file 'zanzibar \303'
generate 'prompt file that ends within a letter' 2,5 "$P" UTF-8 -- --prompt-file "$P"
in_file 'zanzibar \355\240\200'
generate 'prompt file with a surrogate' 2,5 "$P" UTF-8 -- --prompt-file "$P"
in_file 'zanzibar \300\200'
generate 'prompt file with an overlong zero' 2,5 "$P" UTF-8 -- --prompt-file "$P"
generate 'prompt that is not UTF-8' 2,5 --prompt UTF-8 -- --prompt "$(printf 'zanzibar \377')"
head -c 4194304 /dev/zero | tr '\0' a >"$P"
generate 'prompt of 4 MiB of one letter' 2 128 context -- --prompt-file "$P"
head -c 4194304 /dev/zero | tr '\0' ' ' >"$P"
generate 'prompt of 4 MiB of spaces' 2 128 context -- --prompt-file "$P"
head -c 4194304 /dev/zero >"$P"
generate 'prompt of 4 MiB of NUL bytes' 2 128 context -- --prompt-file "$P"
head -c 1048576 /dev/zero | tr '\0' '\n' >"$P"
generate 'prompt of 1 MiB of line feeds' 2 128 context -- --prompt-file "$P"
seq -s ' zanzibar ' 1 200 >"$P"
generate 'prompt too long for the context' 2 --max-tokens 128 context -- --prompt-file "$P"
generate 'prompt and answer too long together' 2 --max-tokens 128 context -- --prompt zanzibar --max-tokens 127
generate 'answer too long alone' 2 --max-tokens 128 context -- --prompt zanzibar --max-tokens 1048576

in_file 'One\000day'
clear_works 'NUL bytes in a prompt file are text' --prompt-file "$P"
in_file '\000'
clear_works 'a NUL byte alone is text' --prompt-file "$P"
in_file '\360\237\220\210 caf\303\251 \342\200\215 e\314\201'
clear_works 'emoji, joiners and combining marks are text' --prompt-file "$P"
in_file '\033[2J\r\n\t'
clear_works 'control characters are text' --prompt-file "$P"
clear_works 'one letter is a prompt' --prompt a
clear_works 'a prompt may look like a flag' --prompt=--prompt
clear_works 'a prompt may name a special token' --prompt '<|endoftext|></s>'

# --- flags -------------------------------------------------------------------------------------------------------------------
flag() { # NAME VALUE...
    flag=$1
    shift
    for value; do
        refused "--$flag $value" 2 5 "--$flag" "\"$value\"" -- "$C" generate --prompt zanzibar "--$flag=$value"
    done
}
flag max-tokens 0 -1 1.5 1e3 0x10 many 1048577 99999999999999999999 ' ' '5 '
flag temperature -1 101 hot nan inf 1e999
flag top-p 2 -0.1 nan
flag top-k -1 2097153 0.5
flag seed -1 1e30
generate 'a number that is empty' 2 --max-tokens -- --prompt zanzibar --max-tokens=
generate 'a flag that does not exist' 2 zebra -- --prompt zanzibar --zebra
generate 'a flag that is ambiguous' 2 --to -- --prompt zanzibar --to 1
generate 'a short flag' 2 -- -p zanzibar
generate 'a word that is no flag' 2 word -- word
generate 'a flag that takes no value' 2 json -- --prompt zanzibar --json=yes
generate 'a backend that does not exist' 2 --backend quantum -- --prompt zanzibar --backend quantum
refused 'nothing but a prompt' 2 5 --config --key --shares -- "$C" generate --prompt zanzibar
refused 'a party without flags' 2 5 --config -- "$C" party
refused 'a party without a key' 2 5 --key -- "$C" party --config "$T/config.yaml"
refused 'a log level that does not exist' 2 5 loud -- "$C" party --config "$T/config.yaml" --key "$T/p0.key" --shares "$T/set/p0" --log-level loud
refused 'the clear backend without a plan' 2 5 --plan -- "$C" generate --backend clear --model "$model" --prompt zanzibar
refused 'model and shape together' 2 5 --model --shape -- "$C" plan --model "$model" --shape gpt2 --out "$T/out/plan.json"
refused 'a shape that does not exist' 2 5 gpt9 smollm2-135m -- "$C" plan --shape gpt9 --out "$T/out/plan.json"
refused 'a context of one' 2 5 --context '"1"' -- "$C" plan --model "$model" --context 1 --out "$T/out/plan.json"
refused 'a policy that does not exist' 2,6 5 lru full window -- "$C" generate --backend clear --model "$model" --plan "$T/plan.json" --policy lru --prompt zanzibar
refused 'policy window without a window' 2,7 5 window -- "$C" generate --backend clear --model "$model" --plan "$T/plan.json" --policy window --prompt zanzibar

# --- environment ---------------------------------------------------------------------------------------------------------------
environment() { # NAME CODES VARIABLE=VALUE WORD...
    name=$1 codes=$2 variable=$3
    shift 3
    refused "$name" "$codes" 5 "$@" -- env "$variable" "$C" generate --config "$T/config.yaml" --key "$T/client.key" --shares "$T/set/client" --prompt zanzibar
}
environment 'a number in the environment that is none' 2 CACHET_MAX_TOKENS=many CACHET_MAX_TOKENS many
environment 'an empty variable' 2 CACHET_TOKENIZER= CACHET_TOKENIZER empty
environment 'a switch in the environment that is neither 0 nor 1' 2 CACHET_JSON=true CACHET_JSON true 'must be 0 or 1'
environment 'a path in the environment that does not exist' 4 CACHET_TOKENIZER="$T/none" "$T/none"
works 'a flag wins over the environment' 10 env CACHET_MAX_TOKENS=1048576 "$C" generate --backend clear --model "$model" --plan "$T/plan.json" --prompt a --max-tokens 1

# --- commands --------------------------------------------------------------------------------------------------------------------
for arguments in '' 'fly' '--fly'; do
    # shellcheck disable=SC2086 # no word at all is one case
    timeout 5 "$C" $arguments >"$T/run/stdout" 2>"$T/run/stderr"
    code=$?
    complaint=''
    [ "$code" -eq 2 ] || complaint="exit code $code, expected 2"
    grep -q 'usage: cachet COMMAND' "$T/run/stderr" || complaint="$complaint no usage on stderr"
    judge "cachet $arguments" "$complaint"
done
for command in up generate keygen plan share party; do
    works "cachet $command --help" 5 "$C" "$command" --help
done
refused 'standard output that cannot be written' 4 10 'standard output' space -- sh -c 'exec "$@" >/dev/full' sh "$C" generate --backend clear --model "$model" --plan "$T/plan.json" --prompt a --max-tokens 1

done_testing
