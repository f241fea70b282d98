#!/bin/bash
# Runs binder/ as mybinder does, without Docker: in an empty root of Debian (its own Ubuntu where MIRROR and SUITE name one),
# as the ordinary user 1000, on one core, in a control group of 2 GB. Prints what the build and every notebook took.
#
#   binder_check.sh [NOTEBOOK ...]     needs root, debootstrap and a Debian mirror in apt's sources; keeps the root in build/
#
# The committed tree is what is built. ROOT names an empty root that is already there. BUILT=1 builds nothing and runs the
# notebooks in the root of an earlier run.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
root=${ROOT:-$here/build/binder-root}
home=$root/home/jovyan env=/srv/env
. "$here/.ci/root.sh" "$@"
if [ -z "${BUILT:-}" ] && [ ! -d "$root/usr" ]; then
	new_root "$root"
fi
open_root "$root"
group=/sys/fs/cgroup/memory/binder-check work=/sys/fs/cgroup/cpuacct/binder-check
trap 'rmdir "$group" "$work" 2>/dev/null' EXIT
inside() { chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }

# limited NAME COMMAND: as the user, on one core, in 2 GB. Prints seconds, those that the core worked for it (a machine that does
# other things takes longer), and the most memory.
mkdir -p "$group" "$work"
echo $((2 << 30)) >"$group/memory.limit_in_bytes"
limited() {
	local name=$1 start=$SECONDS status=0 before
	before=$(<"$work/cpuacct.usage")
	shift
	(
		echo $BASHPID >"$group/cgroup.procs"
		echo $BASHPID >"$work/cgroup.procs"
		exec taskset -c 0 chroot --userspec=1000:1000 "$root" /usr/bin/env -i $keep HOME=/home/jovyan USER=jovyan LANG=C.UTF-8 PATH=$env/bin:/usr/bin:/bin \
			bash -c 'cd && exec "$@"' bash "$@"
	) &
	local running=$! most=0 now
	while kill -0 $running 2>/dev/null; do # the control group's own maximum counts files that were read, too
		now=$(sed -n 's/^total_rss //p' "$group/memory.stat")
		most=$((now > most ? now : most))
		sleep 0.1
	done
	wait $running || status=$?
	printf '%-44s %4d s, %4d s of work  %5d MB at most\n' "$name" $((SECONDS - start)) $((($(<"$work/cpuacct.usage") - before) / 1000000000)) $((most >> 20))
	return $status
}
used() { du -sxm "$root" | cut -f1; }

# What repo2docker does before postBuild: packages, an environment of Python for the user, the repository in his home.
build() {
	local building free now most=0 before
	inside apt-get update -qq
	inside apt-get install -qq --no-install-recommends python3 python3-venv ca-certificates $(cat "$here/binder/apt.txt") >/dev/null
	trust "$root"
	inside id jovyan >/dev/null 2>&1 || inside useradd --create-home --uid 1000 jovyan
	rm -rf --one-file-system "$home" "$root$env"
	mkdir -p "$home" "$root$env"
	git -C "$here" archive HEAD | tar x -C "$home"
	chown -R 1000:1000 "$home" "$root$env"

	limited "an environment" python3 -m venv $env
	limited "requirements.txt" $env/bin/pip install --quiet --no-cache-dir -r binder/requirements.txt
	before=$(used)
	limited "postBuild" binder/postBuild &
	building=$! free=$(df --output=avail -m "$root" | tail -1)
	while kill -0 $building 2>/dev/null; do
		now=$((free - $(df --output=avail -m "$root" | tail -1)))
		most=$((now > most ? now : most))
		sleep 1
	done
	wait $building
	echo "postBuild takes $most MB of disk at most, if nothing else writes there"
	echo "postBuild leaves $(($(used) - before)) MB, all but the system is $(du -sxmc "$home" "$root$env" | tail -1 | cut -f1) MB"
}

if [ -z "${BUILT:-}" ]; then
	build
fi

# A session: binder/start starts the server, and the notebooks run one after the other as they would in it.
limited "kvnotes doctor" binder/start kvnotes doctor
failed=0
for notebook in "${@:-notebooks/start_here.ipynb}"; do
	limited "$notebook" binder/start python notebooks/run.py --out /tmp/out "$notebook" || failed=1
done
exit $failed
