#!/bin/sh
# Prints the share of statements of each package that the tests of all packages reach, and fails below 75 %. Left out are
# programs, generated bindings, and cuda, whose code needs a card.
set -eu
cd "$(dirname "$0")/.."
profile=$(mktemp) said=$(mktemp)
trap 'rm -f "$profile" "$said"' EXIT
if ! CGO_ENABLED=0 go test -timeout 30m -coverpkg=./... -coverprofile="$profile" ./... >"$said" 2>&1; then
	grep -v '^ok ' "$said" >&2
	exit 1
fi
awk -F'[: ]' 'NR > 1 {
	statements[$1 ":" $2] = $3
	if ($4 > 0) reached[$1 ":" $2] = 1
} END {
	for (block in statements) {
		package = block
		sub(/\/[^\/]*$/, "", package)
		sub(/^github.com\/kvnotes\/kvnotes\//, "", package)
		all[package] += statements[block]
		if (block in reached) some[package] += statements[block]
	}
	for (package in all) printf "%5.1f %%  %s\n", 100 * some[package] / all[package], package
}' "$profile" | sort -k3 | awk '{
	print
	if ($1 < 75 && $3 !~ /^(kernel\/kvnotes|kernel\/bind.*|cuda)$/) low = low " " $3
} END {
	if (low != "") { print "less than 75 %:" low; exit 1 }
}'
