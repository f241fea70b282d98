# Empty roots of Debian (or Ubuntu, where MIRROR and SUITE name one), in which the checks of Binder and Docker run what their
# users' machines run. To be sourced, with the script's arguments; needs root, debootstrap and a Debian mirror in apt's sources.
# The script starts again with mounts of its own, which end with it: nothing of this machine is ever seen in a root that is
# removed.
if [ -z "${OWN_MOUNTS:-}" ]; then
	OWN_MOUNTS=1 exec unshare --mount --propagation private "$BASH" "$0" "$@"
fi
suite=${SUITE:-trixie}
mirror=${MIRROR:-$(cat /etc/apt/sources.list /etc/apt/sources.list.d/debian* 2>/dev/null | sed -n 's/^URIs: //p; s/^deb \([^ ]*\) .*/\1/p' | sed -n 1p || true)}
# What tells programs how this machine reaches the network.
keep=$(env | grep -iE '^(PIP_(INDEX_URL|EXTRA_INDEX_URL|CERT)|GOPROXY|GOSUMDB|GONOSUMDB|GOFLAGS|[a-z]*_proxy|SSL_CERT|REQUESTS_CA|CURL_CA)' || true)

new_root() {
	mkdir -p "$1"
	touch "$1/go.mod" # so that ./... of Go leaves this folder out
	debootstrap --variant=minbase "$suite" "$1" "$mirror" >/dev/null
}

# take ROOT FILE...: copies files of this machine, where there are such.
take() {
	local root=$1 f
	shift
	for f; do
		if [ -f "$f" ]; then mkdir -p "$root$(dirname "$f")" && cp -L "$f" "$root$f"; fi
	done
}

# open_root ROOT: mounts /proc, and names the machines of the network.
open_root() {
	take "$1" /etc/resolv.conf /etc/hosts /etc/pip.conf
	mount -t proc proc "$1/proc" # the devices that programs need debootstrap has made
}

# trust ROOT: takes over the certificates of the network, once the root's own are installed.
trust() { take "$1" "${SSL_CERT_FILE:-}" "${PIP_CERT:-}"; }
