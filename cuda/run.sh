#!/bin/sh
# run.sh OUT, in the folder where build/cuda-bundle.tgz was unpacked: runs the GPU tests and measures a model of the shape
# of Llama 3 8B, and leaves logs and speed.json in the folder OUT. It needs a driver, 45 GiB on the card and 17 GiB of /dev/shm.
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
card() { nvidia-smi --query-gpu="$1" --format=csv,noheader | head -1; }
cd "$root/kvpress/testdata"
"$root/bin/cuda.test" -test.v >"$out/cuda.log" 2>&1 || { tail -20 "$out/cuda.log"; exit 1; }
KVNOTES_BACKEND=cuda "$root/bin/llm-cuda.test" -test.v -test.run ReferenceTiny >"$out/reference.log" 2>&1 || { tail -20 "$out/reference.log"; exit 1; }
(unset KVNOTES_CUDNN && KVNOTES_RESULTS=$out/figures.json exec "$root/bin/cuda.test" -test.v -test.timeout 30m -test.run Speed)
KVNOTES_PARTS=$out/parts.json KVNOTES_SHARES=$out/prefills.json "$root/bin/cuda.test" -test.v -test.timeout 30m -test.run 'Prefill(Parts|Shares)'
within() { sed '1!s/^/\t/' "$out/$1.json"; }
named() { eval "path=\${$1:-}" && [ -z "$path" ] || printf '%s=%s ' "$1" "$(basename "$path")"; }
{
	printf '{\n\t"card": "%s",\n\t"driver": "%s",\n\t"date": "%s",\n\t"commit": "%s",\n' "$(card name)" "$(card driver_version)" "$(date -u +%F)" "$(cat "$root/cuda/commit")"
	printf '\t"command": "%ssh cuda/run.sh OUT",\n\t"model": "shape of Llama 3 8B, random weights, bfloat16, batch 1",\n' "$(named KVNOTES_CUBLAS)$(named KVNOTES_CUDNN)"
	printf '\t"figures": %s,\n\t"parts": %s,\n\t"prefills": %s\n}\n' "$(within figures)" "$(within parts)" "$(within prefills)"
} >"$out/speed.json"
rm "$out/figures.json" "$out/parts.json" "$out/prefills.json"
