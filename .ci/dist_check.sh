#!/bin/sh
# Builds what is in dist once more, in a new clone in another folder and with an empty cache of compiled code, and
# compares the checksums. What is not committed is not in it. CUDA=1 builds the CUDA program too.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
clone=$work/somewhere/else
git clone --quiet "$root" "$clone"
if [ -n "${CUDA:-}" ]; then
	if [ -d "$root/.venv-cuda" ]; then # the compiler, not what it made; Go calls a tree modified that has a file git does not know
		ln -s "$root/.venv-cuda" "$clone/.venv-cuda"
		echo .venv-cuda >>"$clone/.git/info/exclude"
	fi
	eval "$(sh "$clone/cuda/build.sh" env)"
fi
GOCACHE=$work/cache python3 "$clone/.ci/dist.py" --echarts "$root/build/echarts.min.js" ${1:+--only "$1"} ${CUDA:+--cuda} --out "$work/dist"
diff "$root/dist/SHA256SUMS" "$work/dist/SHA256SUMS" && echo "both builds are equal, byte for byte"
