#!/bin/sh
# run.sh OUT, in the folder where build/cuda-bundle.tgz was unpacked: runs the GPU tests and measures a model of the shape
# of Llama 3 8B, and leaves logs and speed.json in the folder OUT. It needs a driver, 45 GiB on the card and 17 GiB of
# /dev/shm. KVNOTES_SMOLLM2 may name SmolLM2's folder or GGUF file, and KVNOTES_CONTEXT=32768 leaves the longest context out.
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
failed=
run() { # run LOG COMMAND...
	log=$out/$1.log
	shift
	echo "== $*"
	"$@" >"$log" 2>&1 || { failed="$failed $log" && grep -E '^ *(---|===|panic|[a-z_]+\.go)' "$log" | grep -v 'RUN\|PASS' | tail -20; }
}
card() { nvidia-smi --query-gpu="$1" --format=csv,noheader | head -1; }
named() { eval "path=\${$1:-}" && [ -z "$path" ] || printf '%s=%s ' "$1" "$(basename "$path")"; }
within() { sed '1!s/^/\t/' "$out/$1.json" 2>/dev/null || printf null; }
cd "$root/kvpress/testdata"
run kernels env KVNOTES_KERNELS="$out/kernels.json" "$root/bin/cuda.test" -test.v -test.timeout 10m
run reference env KVNOTES_BACKEND=cuda "$root/bin/llm-cuda.test" -test.v -test.timeout 10m -test.run ReferenceTiny
run presses "$root/bin/llm-cuda.test" -test.v -test.timeout 15m -test.run 'GPU|Bfloat16'
run speed env -u KVNOTES_CUDNN KVNOTES_RESULTS="$out/figures.json" "$root/bin/cuda.test" -test.v -test.timeout 30m -test.run '^TestSpeed$'
run prefills env KVNOTES_PARTS="$out/parts.json" KVNOTES_SHARES="$out/prefills.json" "$root/bin/cuda.test" -test.v -test.timeout 30m -test.run 'Prefill(Parts|Shares)'
{
	printf '{\n\t"card": "%s",\n\t"driver": "%s",\n\t"date": "%s",\n\t"commit": "%s",\n' "$(card name)" "$(card driver_version)" "$(date -u +%F)" "$(cat "$root/cuda/commit")"
	printf '\t"command": "%ssh cuda/run.sh OUT",\n\t"model": "shape of Llama 3 8B, random weights, bfloat16, batch 1",\n' "$(named KVNOTES_CUBLAS)$(named KVNOTES_CUDNN)$(named KVNOTES_SMOLLM2)"
	printf '\t"kernels": %s,\n\t"figures": %s,\n\t"parts": %s,\n\t"prefills": %s\n}\n' "$(within kernels)" "$(within figures)" "$(within parts)" "$(within prefills)"
} >"$out/speed.json"
rm -f "$out/kernels.json" "$out/figures.json" "$out/parts.json" "$out/prefills.json"
[ -z "$failed" ] || { echo "FAILED:$failed"; exit 1; }
