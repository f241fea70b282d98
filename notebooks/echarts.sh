#!/bin/sh
# Fetches ECharts into the file named, for interactive charts without a network, where npm exists. Without it the file
# is empty and charts stay pictures.
set -eu
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if command -v npm >/dev/null 2>&1 && (cd "$work" && npm pack --silent echarts@5.6.0 && tar xzf echarts-5.6.0.tgz) >/dev/null 2>&1; then
	mv "$work/package/dist/echarts.min.js" "$out"
else
	echo "npm is not here, or could not fetch echarts: charts are pictures unless the browser reaches the network"
	: >"$out"
fi
