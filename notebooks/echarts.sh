#!/bin/sh
# Fetches ECharts for interactive charts without a network, where npm exists. Without it charts stay pictures.
set -e
out=$1/echarts.min.js
if ! command -v npm >/dev/null 2>&1; then
	echo "npm is not here: charts are pictures unless the browser reaches the network"
	: >"$out"
	exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if (cd "$work" && npm pack --silent echarts@5.6.0 >/dev/null 2>&1 && tar xzf echarts-5.6.0.tgz package/dist/echarts.min.js); then
	mv "$work/package/dist/echarts.min.js" "$out"
else
	echo "npm could not fetch echarts: charts are pictures unless the browser reaches the network"
	: >"$out"
fi
