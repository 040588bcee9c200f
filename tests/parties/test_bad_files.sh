#!/bin/sh
# Every file that the program reads, spoiled in turn: each is refused by name, at once, and nothing is left behind.
#
# usage: test_bad_files.sh PROGRAM SOURCE_ROOT
set -u
. "$(dirname "$0")/deployment.sh"
setup

share() { # NAME CODES WORD... : `cachet share` with $plan and $from
    name=$1 codes=$2
    shift 2
    refused "$name" "$codes" 10 "$@" -- "$C" share --model "$from" --plan "$plan" --out "$T/out/set"
}
party() { # NAME CODES WORD... : party P0 with $shares
    name=$1 codes=$2
    shift 2
    refused "$name" "$codes" 10 "$@" -- "$C" party --config "$T/config.yaml" --key "$T/p0.key" --shares "$shares"
}
client() { # NAME CODES WORD... : the client with $shares
    name=$1 codes=$2
    shift 2
    refused "$name" "$codes" 10 "$@" -- "$C" generate --config "$T/config.yaml" --key "$T/client.key" --shares "$shares" --prompt zanzibar
}
# A plan changed by a sed script, in $plan.
edit_plan() {
    plan=$T/edited.json
    sed "$1" "$T/plan.json" >"$plan"
    ! cmp -s "$plan" "$T/plan.json" || fatal "sed '$1' changes nothing in the plan"
}
# A directory of P0 with its manifest changed by a sed script, in $shares.
edit_manifest() {
    rm -rf "$T/edited"
    derive edited "${2:-p0}"
    shares=$T/edited
    sed -i "$1" "$shares/manifest.json"
    ! cmp -s "$shares/manifest.json" "$T/set/${2:-p0}/manifest.json" || fatal "sed '$1' changes nothing in the manifest"
}
# Changes byte number $2 of a file.
flip() {
    byte=$(dd if="$1" bs=1 skip="$2" count=1 2>/dev/null | od -An -tu1)
    # shellcheck disable=SC2059 # the octal number is the format
    printf "\\$(printf '%03o' $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# --- another model, another set ------------------------------------------------------------------------------------------
mkdir "$T/other"
cp "$model"/*.json "$model/model.safetensors" "$T/other"
flip "$T/other/model.safetensors" 3000000
own_digest=$(field "$T/set/p0/manifest.json" model | cut -c 1-16)
own_set=$(field "$T/set/p0/manifest.json" set | cut -c 1-16)
"$C" share --model "$model" --plan "$T/plan.json" --out "$T/set2" >/dev/null || fatal "share fails"
other_set=$(field "$T/set2/p0/manifest.json" set | cut -c 1-16)

# --- the plan ------------------------------------------------------------------------------------------------------------
from=$T/other plan=$T/plan.json
share 'plan of another model' 9 "$plan" "$own_digest" 'cachet plan'
from=$model
plan=$T/none.json
share 'no plan' 4 "$plan"
plan=$T/edited.json
head -c 1500 "$T/plan.json" >"$plan"
share 'plan truncated' 5 "$plan:" end
: >"$plan"
share 'plan empty' 4,5 "$plan"
printf '[1, 2]' >"$plan"
share 'plan not an object' 5 "$plan" object
edit_plan 's/^ "bin": 1,/ "bin": 1, "bim": 1,/'
share 'plan with an unknown field' 5 "$plan" unknown
edit_plan 's/^ "bin": 1,/ "bin": 1, "bin": 1,/'
share 'plan with a field twice' 5 "$plan" duplicate
edit_plan '/^ "cell"/d'
share 'plan without a field' 5 "$plan" missing
edit_plan 's/^ "context": .*,/ "context": 99999999999999999999,/'
share 'plan with a number beyond 64 bits' 5 "$plan:4" 99999999999999999999
edit_plan 's/^ "fx": .*,/ "fx": 99,/'
share 'plan with a number out of range' 5 "$plan" '"fx" is 99' '4 to 24'
edit_plan 's/^ "fx": .*,/ "fx": 15.5,/'
share 'plan with a broken number' 5 "$plan" '"fx"' integer
edit_plan 's/^ "format": .*,/ "format": 9,/'
share 'plan of another format' 6 "$plan" 'format 9' 'reads 4'
edit_plan 's/^ "ring": .*,/ "ring": 40,/'
share 'plan whose ring is too small for its wires' 7 "$plan" 'layer 0' needs has
edit_plan 's/^ "context": .*,/ "context": 1048576,/; s/^ "fo": .*,/ "fo": 32,/'
share 'plan whose sums would wrap' 7 "$plan" needs has
edit_plan 's/"score": [0-9-]*,/"score": 40,/'
share 'plan with scores wider than any ring' 7 "$plan" 'layer 0' score needs has
edit_plan 's/"score": [0-9-]*,/"score": 18,/; s/"attention": 1,/"attention": 0,/'
share 'plan with an exp table of 2^31 entries' 7 "$plan" 'exp table' needs 24
edit_plan 's/"headroom": [0-9]*,/"headroom": 60,/'
share 'plan with more headroom than 1/S has windows for' 7 "$plan" 'layer 0' headroom needs 40
edit_plan '/"range_bits": \[/{n;s/[0-9][0-9]*,/0,/}'
share 'plan whose heads have no range' 7 "$plan" 'layer 0' 'range of scores' needs
edit_plan '/"head_range": \[/{n;s/[0-9][0-9]*,/2,/}'
share 'plan with a head in a third range' 5 "$plan" 'layer 0' '"head_range"' '0 to 1'
edit_plan '/"head_from": \[/{n;d}'
share 'plan with a head too few' 5 "$plan" 'layer 0' '"head_from"' 'list of 6'
edit_plan 's/"q": [0-9-]*,/"q": -40,/'
sed -i 's/^ "model": .*,/ "model": "xyz",/' "$plan"
share 'plan with a model digest of three letters' 5 "$plan" '"model"' 64
awk '/^  \{/ { n++ } { print }' "$T/plan.json" | sed '0,/^  },$/s/^  },$/  }, 7,/' >"$plan"
share 'plan with a layer that is a number' 5 "$plan" layer

# --- the model -----------------------------------------------------------------------------------------------------------
plan=$T/plan.json
from=$T/none
share 'no model' 4 "$from"
mkdir "$T/empty" "$T/spoiled"
from=$T/empty
share 'model directory without files' 4 "$from"
from=$T/spoiled
cp "$model"/*.json "$from"
share 'model without weights' 4 "$from"
head -c 4000000 "$model/model.safetensors" >"$from/model.safetensors"
share 'model truncated' 5 model.safetensors
head -c 100000 /dev/zero >"$from/model.safetensors"
share 'model of another kind' 5 model.safetensors
cp "$model/model.safetensors" "$from"
printf '{' >"$from/config.json"
share 'model config broken' 5 config.json
sed 's/"vocab_size": [0-9]*/"vocab_size": 2048/' "$model/config.json" >"$from/config.json"
share 'model config with another vocabulary' 5,9 embed_tokens
sed 's/"llama"/"mamba"/' "$model/config.json" >"$from/config.json"
share 'model of an unknown architecture' 6 mamba
from=$T/config.yaml
share 'model that is a text file' 5,6 "$from"
refused 'plan of a model that does not exist' 4 10 "$T/none" -- "$C" plan --model "$T/none" --out "$T/out/plan.json"
refused 'plan into a directory that does not exist' 4 60 "$T/none/plan.json" -- "$C" plan --model "$model" --context 16 --out "$T/none/plan.json"
refused 'plan from an empty text' 2,4 60 "$T/empty.txt" -- sh -c ': >"$2/empty.txt"; exec "$1" plan --model "$3" --text "$2/empty.txt" --out "$2/out/plan.json"' sh "$C" "$T" "$model"
refused 'plan from a text that is not UTF-8' 2,5 60 "$T/latin.txt" UTF-8 -- sh -c 'printf "caf\351 caf\351" >"$2/latin.txt"; exec "$1" plan --model "$3" --text "$2/latin.txt" --out "$2/out/plan.json"' sh "$C" "$T" "$model"

# --- where shares and keys go ----------------------------------------------------------------------------------------------
from=$model
refused 'output directory exists' 4 10 "$T/set" exists --out -- "$C" share --model "$model" --plan "$plan" --out "$T/set"
refused 'output in a directory that does not exist' 4 10 "$T/none/set" 'No such file' -- "$C" share --model "$model" --plan "$plan" --out "$T/none/set"
refused 'output in a file' 4 10 "$T/plan.json/set" 'Not a directory' -- "$C" share --model "$model" --plan "$plan" --out "$T/plan.json/set"
refused 'output where nobody may write' 4 10 /proc/cachet-set -- "$C" share --model "$model" --plan "$plan" --out /proc/cachet-set
refused 'output larger than the limit of a file' 4 10 "$T/out/set" weights.bin -- sh -c 'ulimit -f 20000; trap "" XFSZ; exec "$@"' sh "$C" share --model "$model" --plan "$plan" --out "$T/out/set"
refused 'tokenizer for clients missing' 4 10 "$T/none" -- "$C" share --model "$model" --plan "$plan" --tokenizer "$T/none" --out "$T/out/set"
refused 'key file exists' 4 5 "$T/p0.key" exists -- "$C" keygen --out "$T/p0.key"
refused 'key in a directory that does not exist' 4 5 "$T/none/k" -- "$C" keygen --out "$T/none/k"

# --- a party's directory ------------------------------------------------------------------------------------------------------
shares=$T/none
party 'share directory missing' 4 "$shares/manifest.json"
shares=$T/set
party 'share set given instead of a directory of it' 4 "$shares/manifest.json"
shares=$T/set/p1
party 'shares of another party' 9 "$shares" 'shares of p1' 'this is p0' 'made for it'
shares=$T/set/client
party 'client directory given to a party' 9 "$shares" 'shares of client' 'this is p0'
shares=$T/set2/p0
party 'shares of another set' 9 config.yaml model.shares "$own_set" "$shares" "$other_set"
derive swapped p0
shares=$T/swapped
sed 's/^ "fy": .*,/ "fy": 17,/' "$T/set/p0/plan.json" >"$T/plan17.json"
cp --remove-destination "$T/plan17.json" "$shares/plan.json"
party 'plan.json swapped' 9 "$shares/plan.json" 'its manifest says'
for file in manifest.json plan.json weights.bin; do
    derive "without-$file" p0
    shares=$T/without-$file
    rm "$shares/$file"
    party "without $file" 4,5 "$shares/$file"
    mkdir "$shares/$file"
    party "$file is a directory" 4,5 "$shares/$file"
done
derive spoilt p0
shares=$T/spoilt
own_weights spoilt
bytes=$(wc -c <"$shares/weights.bin") # P0 has one word of each weight, P1 two
flip "$shares/weights.bin" 12345678
party 'weights.bin with one bit flipped' 5 "$shares/weights.bin" digest 'its manifest says' 'copy it again'
truncate -s -8 "$shares/weights.bin"
party 'weights.bin truncated' 5 "$shares/weights.bin" truncated $((bytes - 8)) "$bytes"
: >"$shares/weights.bin"
party 'weights.bin empty' 4,5 "$shares/weights.bin"
cp -l --remove-destination "$T/set/p1/weights.bin" "$shares/weights.bin"
party 'weights.bin of another party' 5 "$shares/weights.bin" $((2 * bytes)) "$bytes"
cp -l --remove-destination "$T/set2/p0/weights.bin" "$shares/weights.bin"
party 'weights.bin of another set' 5 "$shares/weights.bin" 'another set'

# --- its manifest ----------------------------------------------------------------------------------------------------------------
zero=0000000000000000
manifest() { # NAME CODES SED WORD...
    name=$1 codes=$2
    edit_manifest "$3"
    shift 3
    party "manifest: $name" "$codes" "$shares" "$@"
}
manifest truncated 5 '8,$d' manifest.json
manifest 'not JSON' 5 '1s/.*/[/' manifest.json
manifest 'unknown field' 5 's/^ "format": 3,/&"formal": 1,/' manifest.json fields
manifest 'field twice' 5 's/^ "format": 3,/& "format": 3,/' manifest.json duplicate
manifest 'format' 6 's/^ "format": 3/ "format": 2/' '"format"' 3
manifest 'role' 9 's/^ "role": "p0"/ "role": "p2"/' p2 p0
manifest 'role of 200 letters' 5 "s/^ \"role\": \"p0\"/ \"role\": \"$(printf '%0200d' 0)\"/" '"role"'
manifest 'set' 9 "s/^ \"set\": \".*\"/ \"set\": \"$zero$zero\"/" model.shares "$own_set" $zero
manifest 'model' 9 "s/^ \"model\": \".*\"/ \"model\": \"$zero$zero$zero$zero\"/" "$own_digest" $zero
manifest 'plan' 9 "s/^ \"plan\": \".*\"/ \"plan\": \"$zero$zero$zero$zero\"/" plan.json $zero
manifest 'weights_bytes' 5 's/^ "weights_bytes": .*/ "weights_bytes": 8,/' weights_bytes 8 "$bytes"
manifest 'weights_bytes negative' 5 's/^ "weights_bytes": .*/ "weights_bytes": -1,/' weights_bytes
manifest 'weights_sha256' 5 "s/^ \"weights_sha256\": \".*\"/ \"weights_sha256\": \"$zero\"/" weights.bin $zero
manifest 'a line feed in a text' 9 's/^ "role": "p0"/ "role": "p0\\nOK: \\u001b[2Jp0"/' 'p0'
manifest 'shape.layers' 9 's/^  "layers": 6/  "layers": 7/' plan.json layers 6 7
manifest 'shape.width' 5,7 's/^  "width": 192/  "width": 190/' 'shape' "$bytes"
for edit in 'width/256' 'width/2147483640' 'heads/3' 'heads/2147483647' 'kv_heads/6' 'kv_heads/0' 'head_dim/64' 'head_dim/2147483646' 'ffn/256' 'ffn/2147483647' 'vocab/512' \
    'vocab/2147483647' 'layers/2147483647' 'layers/0' 'context/0' 'rope_theta/-1.0' 'rope_theta/1e999' 'norm_eps/-1e-5' 'norm_eps/0.0' 'tied/0' 'bos/1024' 'bos/-2' \
    'rope_kind/9' 'activation/3' 'layer_norm/1' 'layer_norm/true' 'linear_bias/true' 'positions/true'; do
    manifest "shape.${edit%/*} is ${edit#*/}" 5,6,7,9 "s/^  \"${edit%/*}\": [^,]*/  \"${edit%/*}\": ${edit#*/}/" ''
done
manifest 'shape without a field' 5 '/^  "ffn"/d' shape
manifest 'shape with a text as number' 5 's/^  "ffn": 512/  "ffn": "512"/' ffn

# --- a client's directory ---------------------------------------------------------------------------------------------------------
shares=$T/set/p0
client 'party directory given to a client' 9 "$shares" 'shares of p0' 'this is client'
shares=$T/set2/client
client 'client directory of another set' 9 config.yaml model.shares "$own_set" "$other_set"
derive client-without-tokenizer client
shares=$T/client-without-tokenizer
rm "$shares"/tokenizer*
client 'tokenizer missing' 4 "$shares" tokenizer
printf '{"model": {' >"$shares/tokenizer.json"
client 'tokenizer broken' 5 "$shares/tokenizer.json"
sed 's/"BPE"/"Unigram"/' "$model/tokenizer.json" >"$shares/tokenizer.json"
client 'tokenizer of another kind' 5,6 "$shares/tokenizer.json" Unigram
edit_manifest 's/^  "vocab": 1024/  "vocab": 100/' client
client 'tokenizer with more tokens than the vocabulary' 9,5 vocabulary 100
edit_manifest 's/^  "layers": 6/  "layers": 7/' client
client 'client manifest with a layer more' 9 "$shares/plan.json" layers 6 7
edit_manifest 's/^ "weights_bytes": 0/ "weights_bytes": 7/' client
client 'client manifest with weights' 5 "$shares/manifest.json" weights_bytes 7 0

# --- keys and config ----------------------------------------------------------------------------------------------------------------
with_key() { # NAME CODES KEY WORD...
    name=$1 codes=$2 key=$3
    shift 3
    refused "$name" "$codes" 10 "$@" -- "$C" party --config "$T/config.yaml" --key "$key" --shares "$T/set/p0"
}
cp "$T/p0.key" "$T/open.key"
chmod 644 "$T/open.key"
with_key 'key file that others may read' 4 "$T/open.key" "$T/open.key" 600
ln -s "$T/p0.key" "$T/link.key"
with_key 'key file that is a link' 4 "$T/link.key" "$T/link.key" link
with_key 'key file missing' 4 "$T/none.key" "$T/none.key"
(umask 077 && head -c 40 "$T/p0.key" >"$T/short.key" && sed 's/[a-z]/x/g' "$T/p0.key" >"$T/garbled.key")
with_key 'key file truncated' 5 "$T/short.key" "$T/short.key"
with_key 'key file garbled' 5 "$T/garbled.key" "$T/garbled.key"
with_key 'key that is not in the config' 9 "$T/stranger.key" config.yaml "$(echo "$key_stranger" | tr -d '"')" keygen
with_key 'key of a client used as a party' 9 "$T/client.key" config.yaml "$(echo "$key_client" | tr -d '"')"
refused 'key of a party used as a client' 9 10 config.yaml "$T/p0.key" clients -- "$C" generate --config "$T/config.yaml" --key "$T/p0.key" --shares "$T/set/client" --prompt zanzibar
with_config() { # NAME CODES SED WORD...
    name=$1 codes=$2
    sed "$3" "$T/config.yaml" >"$T/edited.yaml"
    ! cmp -s "$T/edited.yaml" "$T/config.yaml" || fatal "sed '$3' changes nothing in the config"
    shift 3
    refused "$name" "$codes" 10 "$T/edited.yaml" "$@" -- "$C" party --config "$T/edited.yaml" --key "$T/p0.key" --shares "$T/set/p0"
}
with_config 'config with an unknown key' 5 's/step_seconds/step_second/' step_second
with_config 'config without clients' 5 '/^clients/d; /alice/d; /bob/d' clients
with_config 'config of a larger context than the plan' 7 's/context: 128/context: 129/' limits.context 129 128
with_config 'config with another plan' 9 "s/plan: $(printf %.8s "$(field "$T/set/p0/manifest.json" plan)")/plan: 00000000/" model.plan 00000000
with_config 'config with two equal keys' 5 "s|127.0.0.1:$((port + 3))\", key: .*}|127.0.0.1:$((port + 3))\", key: $(echo "$key_p0" | sed 's/[&|\\]/\\&/g')}|" parties.p1.key parties.p0.key
sed "s/127.0.0.1:$port/192.0.2.1:$port/" "$T/config.yaml" >"$T/edited.yaml"
refused 'address of another machine' 4 10 P0 "192.0.2.1:$port" 'of this machine' -- "$C" party --config "$T/edited.yaml" --key "$T/p0.key" --shares "$T/set/p0"
refused 'config missing' 4 10 "$T/none.yaml" -- "$C" party --config "$T/none.yaml" --key "$T/p0.key" --shares "$T/set/p0"
printf 'version: 1\nmode: [' >"$T/edited.yaml"
refused 'config that is no YAML' 5 10 "$T/edited.yaml" line -- "$C" party --config "$T/edited.yaml" --key "$T/p0.key" --shares "$T/set/p0"

done_testing
