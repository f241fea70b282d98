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

# Programs are linked with names of the driver's functions; they find the driver itself when they start.
stub=$root/build/cuda-stub
if [ ! -f "$stub/libcuda.a" ] || [ "$here/compat/driver.c" -nt "$stub/libcuda.a" ]; then
	mkdir -p "$stub"
	rm -f "$stub"/*
	echo '#include <cuda.h>' | cc -E -I"$here/compat" -I"$include" - | tr '\n' ' ' | grep -oE '\bcu[A-Z][A-Za-z0-9_]* *\(' |
		tr -d ' (' | sort -u | grep -vx cuInit | sed 's/.*/NAME(&)/' >"$stub/names.h"
	cc -O2 -fPIC -Wall -I"$stub" -c "$here/compat/driver.c" -o "$stub/driver.o"
	ar rc "$stub/libcuda.a" "$stub/driver.o"
fi

if [ "${1:-}" = env ]; then
	echo "export CGO_ENABLED=1 CGO_CFLAGS='-O2 -I$here/compat -I$include' CGO_LDFLAGS='-L$stub'"
	exit
fi

# sum names a source and everything that its machine code depends on. It is the first line of NAME.sum; the names of the
# kernels follow.
sum() { cat "$here/$1.cu" "$here"/*.cuh "$here/build.sh" | cksum | cut -d' ' -f1; }
cd "$here"
mkdir -p compiled
for source in *.cu; do
	name=${source%.cu}
	[ "$(head -1 "compiled/$name.sum" 2>/dev/null)" = "$(sum "$name")" ] && continue
	echo "nvcc $source" >&2
	"$nvcc" -std=c++17 -O3 -arch=compute_80 -ptx -o "compiled/$name.ptx" "$source"
	for arch in sm_80 sm_90a; do
		"$nvcc" -std=c++17 -O3 -arch=$arch -cubin ${VERBOSE:+-Xptxas -v} -o "compiled/$name.$arch.cubin" "$source"
	done
	{ sum "$name" && sed -n 's/.*\.entry \([A-Za-z0-9_]*\).*/\1/p' "compiled/$name.ptx"; } >"compiled/$name.sum"
	bzip2 -9f "compiled/$name".ptx "compiled/$name".*.cubin
done
