# Empty roots of Debian (or Ubuntu, where MIRROR and SUITE name one), in which the checks of Binder and Docker run what their
# users' machines run. To be sourced; needs root, debootstrap and a Debian mirror in apt's sources.
suite=${SUITE:-trixie}
mirror=${MIRROR:-$(cat /etc/apt/sources.list /etc/apt/sources.list.d/debian* 2>/dev/null | sed -n 's/^URIs: //p; s/^deb \([^ ]*\) .*/\1/p' | sed -n 1p || true)}
# What tells programs how this machine reaches the network.
keep=$(env | grep -iE '^(PIP_(INDEX_URL|EXTRA_INDEX_URL|CERT)|GOPROXY|GOSUMDB|GONOSUMDB|GOFLAGS|[a-z]*_proxy|SSL_CERT|REQUESTS_CA|CURL_CA)' || true)

new_root() {
	mkdir -p "$1"
	touch "$1/go.mod" # so that ./... of Go leaves this folder out
	debootstrap --variant=minbase "$suite" "$1" "$mirror" >/dev/null
}

# open_root ROOT: mounts what programs need, and lets them reach the network as this machine does.
open_root() {
	local f
	for f in /etc/resolv.conf /etc/hosts /etc/pip.conf "${SSL_CERT_FILE:-}" "${PIP_CERT:-}"; do
		if [ -f "$f" ]; then mkdir -p "$1$(dirname "$f")" && cp -L "$f" "$1$f"; fi
	done
	mountpoint -q "$1/proc" || mount -t proc proc "$1/proc"
	mountpoint -q "$1/dev" || mount --rbind /dev "$1/dev"
}

close_root() { umount -l "$1/proc" "$1/dev" 2>/dev/null || true; }
