#!/bin/bash
# Carries out the Dockerfile without a Docker engine: each stage in an empty root of Debian, each RUN there as the user that
# USER names; then starts its CMD, and asks the server for the kernel.
#
#   docker_check.sh                    needs root, debootstrap and a Debian mirror in apt's sources; keeps the roots in build/docker
#
# What differs from docker build: the images behind FROM are Debian with what they bring (this machine's Go; Debian's Python
# and pip), and there are no layers. The committed tree is what COPY copies.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
work=$here/build/docker
. "$here/.ci/root.sh" "$@"
[ -d "$work/base/usr" ] || new_root "$work/base"
rm -rf "$work/context" && mkdir -p "$work/context"
git -C "$here" archive HEAD | tar x -C "$work/context"

root= user= folder=
# within COMMAND: in the stage's root, as its user, in its folder.
within() {
	local home
	home=$(chroot "$root" getent passwd "${user:-0}" | cut -d: -f6)
	chroot ${user:+--userspec=$user:$user} "$root" /usr/bin/env -i $keep HOME="$home" LANG=C.UTF-8 PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore \
		PATH=/usr/local/go/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -c 'cd "$0" && exec sh -c "$1"' "${folder:-/}" "$1"
}

from() { # IMAGE [AS NAME]
	root=$work/${3:-last} user= folder=
	rm -rf --one-file-system "$root"
	cp -a "$work/base" "$root"
	open_root "$root"
	case $1 in
	golang:*)
		local version=${1#golang:}
		mkdir -p "$root/usr/local/go"
		mount --bind "$(GOTOOLCHAIN=go${version%%-*} go env GOROOT)" "$root/usr/local/go"
		;;
	python:*)
		within 'apt-get update -qq && apt-get install -qq --no-install-recommends python3 python3-pip python-is-python3 ca-certificates >/dev/null 2>&1'
		trust "$root"
		;;
	*) echo "FROM $1: this check knows golang and python" && exit 1 ;;
	esac
}

copy() { # [--from=STAGE] [--chown=USER:GROUP] SOURCE TARGET
	local source=$work/context owner=0:0
	while [[ $1 == --* ]]; do
		case $1 in --from=*) source=$work/${1#*=} ;; --chown=*) owner=${1#*=} ;; esac
		shift
	done
	local target=$2
	[[ $target == /* ]] || target=$folder/$target
	mkdir -p "$root$(dirname "$target")"
	cp -rT "$source/$1" "$root$target"
	chown -R "$owner" "$root$target"
}

line=
while IFS= read -r part; do
	[[ $part == \#* || -z $part ]] && continue
	echo "== $part"
	read -r word rest <<<"$part"
	case $word in
	FROM) from ${rest} ;;
	WORKDIR) folder=$rest && mkdir -p "$root$folder" ;;
	COPY) copy $rest ;;
	RUN) within "$rest" ;;
	USER) user=$rest ;;
	EXPOSE) ;;
	CMD) line=$(python3 -c 'import json, shlex, sys; print(shlex.join(json.loads(sys.argv[1])))' "$rest") ;;
	*) echo "this check does not know $word" && exit 1 ;;
	esac
done <"$here/Dockerfile"

echo "== the image: $(du -sxm "$root" | cut -f1) MB, user ${user:-root}"
[ "${user:-0}" != 0 ]
within 'kvnotes doctor'
within "exec $line" >"$work/log" 2>&1 &
server=$!
for _ in $(seq 120); do # until it says its address
	address=$(grep -oE 'http://127\.0\.0\.1:[0-9]+/\S*token=\w+' "$work/log" | head -1 || true)
	[ -n "$address" ] && break
	kill -0 $server 2>/dev/null || { cat "$work/log"; exit 1; }
	sleep 0.5
done
token=${address##*token=} status=0
curl -sf --noproxy '*' "${address%%/lab*}/api/kernelspecs?token=$token" | grep -o '"display_name": *"[^"]*"' || status=1
lab=$(pgrep -P $server)
ps -o user=,args= -p "$lab" | cut -c1-80
kill "$lab" && wait $server || true
[ $status = 0 ] && echo "the image works: ${address%%\?*}"
exit $status
