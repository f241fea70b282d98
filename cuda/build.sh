#!/bin/sh
# Compiles the kernels beside this file and prepares what cgo needs, on a machine with or without CUDA.
#
#   build.sh           compile NAME.cu to PTX and cubins where they are older than their source
#   build.sh env       print the settings for go build -tags cuda, for a shell to eval
#
# A system's nvcc is used when there is one; else compiler and headers come as Python packages into .venv-cuda.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
venv=$root/.venv-cuda
if nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null); then
	include=$(dirname "$(dirname "$(readlink -f "$nvcc")")")/include
else
	if [ ! -f "$venv/ready" ]; then
		echo "fetching a CUDA compiler into .venv-cuda (once)" >&2
		"${PYTHON:-python3}" -m venv "$venv"
		"$venv/bin/pip" install --quiet --disable-pip-version-check nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 \
			nvidia-cuda-crt==13.0.88 'nvidia-cuda-runtime==13.0.*' nvidia-cuda-cccl
		touch "$venv/ready"
	fi
	toolkit=$(echo "$venv"/lib/python3*/site-packages/nvidia/cu13)
	nvcc=$toolkit/bin/nvcc include=$toolkit/include
fi

# Where no driver is, programs are linked with a library that has its names; they find the real one when they run.
stub=$root/build/cuda-stub
if [ ! -f "$stub/libcuda.so" ]; then
	mkdir -p "$stub"
	echo '#include <cuda.h>' | cc -E -I"$here/compat" -I"$include" - | tr '\n' ' ' | grep -oE '\bcu[A-Z][A-Za-z0-9_]* *\(' |
		tr -d ' (' | sort -u | sed 's/.*/void &(void) {}/' | cc -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$stub/libcuda.so" -xc -
fi

if [ "${1:-}" = env ]; then
	echo "export CGO_ENABLED=1 CGO_CFLAGS='-O2 -I$here/compat -I$include' CGO_LDFLAGS='-L$stub'"
	exit
fi

# sum names a source and everything that its machine code depends on.
sum() { cat "$here/$1.cu" "$here"/*.cuh "$here/build.sh" | cksum | cut -d' ' -f1; }
cd "$here"
mkdir -p compiled
for source in *.cu; do
	name=${source%.cu}
	[ "$(cat "compiled/$name.sum" 2>/dev/null)" = "$(sum "$name")" ] && continue
	echo "nvcc $source" >&2
	"$nvcc" -std=c++17 -O3 -arch=compute_80 -ptx -o "compiled/$name.ptx" "$source"
	for arch in sm_80 sm_90a; do
		"$nvcc" -std=c++17 -O3 -arch=$arch -cubin ${VERBOSE:+-Xptxas -v} -o "compiled/$name.$arch.cubin" "$source"
	done
	gzip -9nf "compiled/$name".ptx "compiled/$name".*.cubin
	sum "$name" >"compiled/$name.sum"
done
