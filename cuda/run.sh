#!/bin/sh
# run.sh OUT, in the folder where build/cuda-bundle.tgz was unpacked: runs the GPU tests and measures a model of the shape
# of Llama 3 8B, and leaves logs and figures in the folder OUT. It needs a driver, 45 GiB on the card and 17 GiB of /dev/shm.
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | tee "$out/card.txt"
cd "$root/kvpress/testdata"
"$root/bin/cuda.test" -test.v >"$out/cuda.log" 2>&1 || { tail -20 "$out/cuda.log"; exit 1; }
KVNOTES_BACKEND=cuda "$root/bin/llm-cuda.test" -test.v -test.run ReferenceTiny >"$out/reference.log" 2>&1 || { tail -20 "$out/reference.log"; exit 1; }
KVNOTES_RESULTS=$out/speed.json "$root/bin/cuda.test" -test.v -test.timeout 30m -test.run Speed
