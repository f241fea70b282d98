// What all kernels share: the two kinds of stored numbers, and sums over a warp.
#pragma once
#include <cuda_bf16.h>
#include <stdint.h>

typedef __nv_bfloat16 bf16;

// PAIRS is how many pairs a page holds: its keys (PAIRS, dim), then its values.
constexpr int PAIRS = 64;

// HEADS is the largest number of KV heads.
constexpr int HEADS = 64;

__device__ inline float number(float x) { return x; }
__device__ inline float number(bf16 x) { return __bfloat162float(x); }

template <typename T> __device__ inline T stored(float x);
template <> __device__ inline float stored<float>(float x) { return x; }
template <> __device__ inline bf16 stored<bf16>(float x) { return __float2bfloat16_rn(x); }

// load8 reads 8 numbers that lie together at a multiple of 16 bytes.
__device__ inline void load8(float *x, const float *p) {
  float4 a = reinterpret_cast<const float4 *>(p)[0], b = reinterpret_cast<const float4 *>(p)[1];
  x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w, x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
}

__device__ inline void spread(float *x, uint4 v) {
  x[0] = __uint_as_float(v.x << 16), x[1] = __uint_as_float(v.x & 0xffff0000u);
  x[2] = __uint_as_float(v.y << 16), x[3] = __uint_as_float(v.y & 0xffff0000u);
  x[4] = __uint_as_float(v.z << 16), x[5] = __uint_as_float(v.z & 0xffff0000u);
  x[6] = __uint_as_float(v.w << 16), x[7] = __uint_as_float(v.w & 0xffff0000u);
}

__device__ inline void load8(float *x, const bf16 *p) { spread(x, *reinterpret_cast<const uint4 *>(p)); }

__device__ inline float warpSum(float x) {
  for (int i = 16; i > 0; i /= 2) x += __shfl_xor_sync(~0u, x, i);
  return x;
}

// blockSum adds x over a block of up to 1024 threads; all threads get the sum.
__device__ inline float blockSum(float x) {
  __shared__ float part[32];
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = (blockDim.x + 31) / 32;
  x = warpSum(x);
  __syncthreads();
  if (lane == 0) part[warp] = x;
  __syncthreads();
  x = lane < warps ? part[lane] : 0;
  return warpSum(x);
}
