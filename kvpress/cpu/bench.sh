#!/bin/sh
# bench.sh BASE [PATTERN]: the benchmarks of the verbs at a commit and in the working tree, six times each, one after the
# other in turn, compared by benchstat. What BASE does not have yet is listed without a comparison.
set -eu
base=${1:?"say what to compare with: make bench-verbs BASE=main"} pattern=${2:-.}
out=$PWD/build/bench-verbs
mkdir -p "$out"
rm -f "$out"/*
tree=$(mktemp -d)
trap 'git worktree remove --force "$tree"' EXIT
git worktree add --quiet --detach "$tree" "$base"
for package in tensor cpu; do
	(cd "$tree/kvpress/$package" && go test -c -o "$out/$package.base.test" .)
	(cd "kvpress/$package" && go test -c -o "$out/$package.here.test" .)
done
for round in 1 2 3 4 5 6; do
	echo "round $round of 6" >&2
	for package in tensor cpu; do
		for side in base here; do
			"$out/$package.$side.test" -test.run '^$' -test.bench "$pattern" -test.benchtime 100ms -test.timeout 10m |
				sed "s|^pkg: .*|pkg: $package|" >>"$out/$side.txt"
		done
	done
done
go run golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da "base=$out/base.txt" "here=$out/here.txt"
