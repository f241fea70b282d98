#!/bin/sh
# Builds what is in dist once more, in a new clone in another folder and with an empty cache of compiled code, and
# compares the checksums. What is not committed is not in it.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
git clone --quiet "$root" "$work/somewhere/else"
GOCACHE=$work/cache python3 "$work/somewhere/else/.ci/dist.py" --echarts "$root/build/echarts.min.js" ${1:+--only "$1"} --out "$work/dist"
diff "$root/dist/SHA256SUMS" "$work/dist/SHA256SUMS" && echo "both builds are equal, byte for byte"
