// The parts of a forward pass that know nothing of the cache. Activations are float32; weights float32 or bfloat16.
#include "number.cuh"
#include <mma.h>

template <typename T>
__device__ void embed(float *dst, const T *table, const int *ids, int width, float scale) {
  const T *row = table + (size_t)ids[blockIdx.x] * width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) dst[(size_t)blockIdx.x * width + i] = number(row[i]) * scale;
}

extern "C" __global__ void embed_f32(float *dst, const float *table, const int *ids, int width, float scale) {
  embed(dst, table, ids, width, scale);
}
extern "C" __global__ void embed_bf16(float *dst, const bf16 *table, const int *ids, int width, float scale) {
  embed(dst, table, ids, width, scale);
}
extern "C" __global__ void embed_f16(float *dst, const __half *table, const int *ids, int width, float scale) {
  embed(dst, table, ids, width, scale);
}

// rms_norm is the root-mean-square norm of one row per block.
extern "C" __global__ void rms_norm(float *dst, const float *x, const float *weight, int width, float epsilon) {
  const float *row = x + (size_t)blockIdx.x * width;
  float sum = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) sum += row[i] * row[i];
  float r = rsqrtf(blockSum(sum) / width + epsilon);
  for (int i = threadIdx.x; i < width; i += blockDim.x) dst[(size_t)blockIdx.x * width + i] = row[i] * r * weight[i];
}

extern "C" __global__ void add(float *dst, const float *x, long long n) {
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) dst[i] += x[i];
}

extern "C" __global__ void add_row(float *dst, const float *x, int width, long long n) {
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) dst[i] += x[i % width];
}

// curved is SiLU, or GELU by its approximation with tanh.
__device__ inline float curved(float g, int tanhCurve) {
  return tanhCurve ? g * 0.5f * (1 + tanhf(0.7978845608f * (g + 0.044715f * g * g * g))) : g / (1 + expf(-g));
}

// gate multiplies the curve of the first half of a row with its second half; tanhCurve picks GELU instead of SiLU.
extern "C" __global__ void gate(float *dst, const float *gateUp, int inner, int tanhCurve) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= inner) return;
  const float *row = gateUp + (size_t)blockIdx.y * 2 * inner;
  dst[(size_t)blockIdx.y * inner + i] = curved(row[i], tanhCurve) * row[inner + i];
}

extern "C" __global__ void to_f16(__half *dst, const float *x, long long n) {
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) dst[i] = __float2half_rn(x[i]);
}

extern "C" __global__ void to_bf16(bf16 *dst, const float *x, long long n) {
  long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * 2;
  if (i + 1 < n)
    *reinterpret_cast<__nv_bfloat162 *>(dst + i) = __floats2bfloat162_rn(x[i], x[i + 1]);
  else if (i < n)
    dst[i] = __float2bfloat16_rn(x[i]);
}

// four are numbers that lie together at a multiple of 16 bytes; narrow writes them in bfloat16.
__device__ inline float4 four(const float *p) { return *reinterpret_cast<const float4 *>(p); }
__device__ inline void narrow(bf16 *to, float4 x) { *reinterpret_cast<uint2 *>(to) = make_uint2(pack(x.x, x.y), pack(x.z, x.w)); }

// norm_wide is rms_norm, whose result it also leaves in bfloat16; width is a multiple of 4.
extern "C" __global__ void norm_wide(float *dst, bf16 *also, const float *x, const float *weight, int width, float epsilon) {
  size_t row = (size_t)blockIdx.x * width;
  float sum = 0;
  for (int i = threadIdx.x * 4; i < width; i += blockDim.x * 4) {
    float4 v = four(x + row + i);
    sum += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
  }
  float r = rsqrtf(blockSum(sum) / width + epsilon);
  for (int i = threadIdx.x * 4; i < width; i += blockDim.x * 4) {
    float4 v = four(x + row + i), w = four(weight + i);
    v = make_float4(v.x * r * w.x, v.y * r * w.y, v.z * r * w.z, v.w * r * w.w);
    *reinterpret_cast<float4 *>(dst + row + i) = v;
    narrow(also + row + i, v);
  }
}

// gate_wide is gate in bfloat16; inner is a multiple of 8.
template <typename T> __device__ void gateWide(bf16 *dst, const T *gateUp, int inner, int tanhCurve) {
  int i = (blockIdx.x * blockDim.x + threadIdx.x) * 8;
  if (i >= inner) return;
  const T *row = gateUp + (size_t)blockIdx.y * 2 * inner + i;
  float g[8], u[8];
  load8(g, row), load8(u, row + inner);
  for (int j = 0; j < 8; j++) g[j] = curved(g[j], tanhCurve) * u[j];
  *reinterpret_cast<uint4 *>(dst + (size_t)blockIdx.y * inner + i) = make_uint4(pack(g[0], g[1]), pack(g[2], g[3]), pack(g[4], g[5]), pack(g[6], g[7]));
}
extern "C" __global__ void gate_wide_f32(bf16 *dst, const float *gateUp, int inner, int tanhCurve) { gateWide(dst, gateUp, inner, tanhCurve); }
extern "C" __global__ void gate_wide_bf16(bf16 *dst, const bf16 *gateUp, int inner, int tanhCurve) { gateWide(dst, gateUp, inner, tanhCurve); }

extern "C" __global__ void widen(float *dst, const bf16 *x, long long n) {
  long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * 8;
  if (i + 8 <= n) {
    float v[8];
    load8(v, x + i);
    for (int j = 0; j < 8; j++) dst[i + j] = v[j];
  } else
    for (; i < n; i++) dst[i] = number(x[i]);
}

// gemv multiplies a few rows x (N, in) with a weight (out, in). A warp makes two outputs of all rows, so that every
// weight is read once; in is a multiple of 8.
template <typename T, int N>
__device__ void gemv(float *dst, const float *x, const T *weight, int out, int in, int rows) {
  int first = (blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32) * 2, lane = threadIdx.x % 32;
  if (first >= out) return;
  const T *a = weight + (size_t)first * in, *b = first + 1 < out ? a + in : a;
  float sum[2][N] = {};
#pragma unroll 4
  for (int k = lane * 8; k < in; k += 256) {
    float u[8], v[8];
    load8(u, a + k);
    load8(v, b + k);
#pragma unroll
    for (int n = 0; n < N; n++) {
      if (N > 1 && n >= rows) break;
      float y[8];
      load8(y, x + (size_t)n * in + k);
#pragma unroll
      for (int i = 0; i < 8; i++) sum[0][n] += u[i] * y[i], sum[1][n] += v[i] * y[i];
    }
  }
#pragma unroll
  for (int n = 0; n < N; n++) {
    float s = warpSum(sum[0][n]), t = warpSum(sum[1][n]);
    if (lane == 0 && n < rows) {
      dst[(size_t)n * out + first] = s;
      if (first + 1 < out) dst[(size_t)n * out + first + 1] = t;
    }
  }
}

#define GEMV(NAME, T, N)                                                                                               \
  extern "C" __global__ void __launch_bounds__(256) NAME(float *dst, const float *x, const T *w, int out, int in, int rows) { \
    gemv<T, N>(dst, x, w, out, in, rows);                                                                              \
  }
GEMV(gemv_f32_1, float, 1)
GEMV(gemv_f32_8, float, 8)
GEMV(gemv_bf16_1, bf16, 1)
GEMV(gemv_bf16_8, bf16, 8)
GEMV(gemv_f16_1, __half, 1)
GEMV(gemv_f16_8, __half, 8)

// line is dst = x · weightᵀ for one row x, with what surrounds it in a model: x is first normed where norm is given (the
// normed row goes to normed as well), halves of the result are gated into gated, and the result is added to total, where
// these are given. Warps make two outputs at a time; in is a multiple of 8. Weights are on their way before x is there.
template <typename T>
__device__ void line_of(float *dst, const float *x, const T *weight, int out, int in, const float *norm, float epsilon, float *normed, float *gated,
         int tanhCurve, float *total) {
  constexpr int AHEAD = 4, SPAN = 256 * AHEAD;
  extern __shared__ __align__(16) float row[];
  int lane = threadIdx.x % 32, warps = gridDim.x * 8, pairs = gated ? out / 2 : (out + 1) / 2;
  auto first = [&](int pair) { return gated ? pair : 2 * pair; };
  auto second = [&](int pair) { return gated ? pair + pairs : min(2 * pair + 1, out - 1); };
  uint4 a[AHEAD], b[AHEAD];
  auto load = [&](int pair, int from) {
    const T *u = weight + (size_t)first(pair) * in, *v = weight + (size_t)second(pair) * in;
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
      int k = from + i * 256 + lane * 8;
      a[i] = k < in ? __ldcs(reinterpret_cast<const uint4 *>(u + k)) : uint4{};
      b[i] = k < in ? __ldcs(reinterpret_cast<const uint4 *>(v + k)) : uint4{};
    }
  };
  next();
  int pair = blockIdx.x * 8 + threadIdx.x / 32;
  if (pair < pairs) load(pair, 0);
  waited();
  float squares = 0;
  for (int i = threadIdx.x * 4; i < in; i += blockDim.x * 4) {
    float4 y = *reinterpret_cast<const float4 *>(x + i);
    squares += y.x * y.x + y.y * y.y + y.z * y.z + y.w * y.w;
    *reinterpret_cast<float4 *>(row + i) = y;
  }
  if (norm) {
    float r = rsqrtf(blockSum(squares) / in + epsilon);
    for (int i = threadIdx.x * 4; i < in; i += blockDim.x * 4)
      for (int j = i; j < i + 4; j++) {
        row[j] *= r * norm[j];
        if (blockIdx.x == 0) normed[j] = row[j];
      }
  }
  __syncthreads();
  for (; pair < pairs; pair += warps) {
    float s = 0, t = 0;
    for (int from = 0; from < in; from += SPAN) {
      uint4 c[AHEAD], d[AHEAD];
#pragma unroll
      for (int i = 0; i < AHEAD; i++) c[i] = a[i], d[i] = b[i];
      if (from + SPAN < in)
        load(pair, from + SPAN);
      else if (pair + warps < pairs)
        load(pair + warps, 0);
#pragma unroll
      for (int i = 0; i < AHEAD; i++) {
        int k = from + i * 256 + lane * 8;
        if (k >= in) break;
        float u[8], v[8], y[8];
        spreadAs<T>(u, c[i]), spreadAs<T>(v, d[i]), load8(y, row + k);
#pragma unroll
        for (int j = 0; j < 8; j++) s += u[j] * y[j], t += v[j] * y[j];
      }
    }
    s = warpSum(s), t = warpSum(t);
    if (lane) continue;
    int f = first(pair), g = second(pair);
    dst[f] = s, dst[g] = g == f ? s : t;
    if (gated) gated[f] = curved(s, tanhCurve) * t;
    if (total) {
      total[f] += s;
      if (g != f) total[g] += t;
    }
  }
}

#define LINE(NAME, T)                                                                                                  \
  extern "C" __global__ void __launch_bounds__(256, 2)                                                                 \
      NAME(float *dst, const float *x, const T *weight, int out, int in, const float *norm, float epsilon, float *normed, float *gated, \
           int tanhCurve, float *total) {                                                                              \
    line_of(dst, x, weight, out, in, norm, epsilon, normed, gated, tanhCurve, total);                                  \
  }
LINE(line_bf16, bf16)
LINE(line_f16, __half)

// gemm is dst = x · weightᵀ in float32, (rows, in) by (out, in): 64 x 64 numbers a block.
template <typename T>
__device__ void gemm(float *dst, const float *x, const T *weight, int rows, int out, int in) {
  __shared__ float a[16][65], b[16][65];
  int row = blockIdx.y * 64, col = blockIdx.x * 64, ty = threadIdx.x / 16, tx = threadIdx.x % 16;
  float sum[4][4] = {};
  for (int k = 0; k < in; k += 16) {
    for (int i = threadIdx.x; i < 1024; i += 256) {
      int r = i / 16, c = i % 16;
      a[c][r] = row + r < rows && k + c < in ? x[(size_t)(row + r) * in + k + c] : 0;
      b[c][r] = col + r < out && k + c < in ? number(weight[(size_t)(col + r) * in + k + c]) : 0;
    }
    __syncthreads();
#pragma unroll
    for (int c = 0; c < 16; c++)
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) sum[i][j] += a[c][ty + 16 * i] * b[c][tx + 16 * j];
    __syncthreads();
  }
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) {
      int r = row + ty + 16 * i, c = col + tx + 16 * j;
      if (r < rows && c < out) dst[(size_t)r * out + c] = sum[i][j];
    }
}

extern "C" __global__ void gemm_f32(float *dst, const float *x, const float *w, int rows, int out, int in) {
  gemm(dst, x, w, rows, out, in);
}
extern "C" __global__ void gemm_f16(float *dst, const float *x, const __half *w, int rows, int out, int in) {
  gemm(dst, x, w, rows, out, in);
}
extern "C" __global__ void gemm_bf16(float *dst, const float *x, const bf16 *w, int rows, int out, int in) {
  gemm(dst, x, w, rows, out, in);
}

// tensor_gemm is gemm of numbers of 16 bits on the tensor cores, 128 x 128 numbers a block of 8 warps; out is a multiple
// of 128 and in of 32. Rows past the last are read from the last and not written.
template <typename T> __device__ void tensor_gemm_of(float *dst, const T *x, const T *weight, int rows, int out, int in) {
  using namespace nvcuda::wmma;
  __shared__ __align__(16) T a[2][128][40], b[2][128][40];
  int row = blockIdx.y * 128, col = blockIdx.x * 128, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  int wr = warp / 4 * 64, wc = warp % 4 * 32;
  fragment<accumulator, 16, 16, 16, float> sum[4][2];
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 2; j++) fill_fragment(sum[i][j], 0);
  auto fetch = [&](int stage, int k) {
    for (int i = threadIdx.x; i < 512; i += 256) {
      int r = i / 4, c = i % 4 * 8;
      const T *from = x + (size_t)min(row + r, rows - 1) * in + k + c;
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((unsigned)__cvta_generic_to_shared(&a[stage][r][c])), "l"(from));
      from = weight + (size_t)(col + r) * in + k + c;
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((unsigned)__cvta_generic_to_shared(&b[stage][r][c])), "l"(from));
    }
    asm volatile("cp.async.commit_group;");
  };
  fetch(0, 0);
  for (int k = 0, stage = 0; k < in; k += 32, stage ^= 1) {
    asm volatile("cp.async.wait_group 0;");
    __syncthreads();
    if (k + 32 < in) fetch(stage ^ 1, k + 32);
#pragma unroll
    for (int c = 0; c < 32; c += 16) {
      fragment<matrix_a, 16, 16, 16, T, row_major> u[4];
      fragment<matrix_b, 16, 16, 16, T, col_major> v[2];
      for (int i = 0; i < 4; i++) load_matrix_sync(u[i], &a[stage][wr + 16 * i][c], 40);
      for (int j = 0; j < 2; j++) load_matrix_sync(v[j], &b[stage][wc + 16 * j][c], 40);
      for (int i = 0; i < 4; i++)
        for (int j = 0; j < 2; j++) mma_sync(sum[i][j], u[i], v[j], sum[i][j]);
    }
  }
  __syncthreads();
  float *room = reinterpret_cast<float *>(a) + warp * 256; // 8 warps share the memory of a
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 2; j++) {
      store_matrix_sync(room, sum[i][j], 16, mem_row_major);
      __syncwarp();
      for (int e = lane; e < 256; e += 32) {
        int r = row + wr + 16 * i + e / 16, c = col + wc + 16 * j + e % 16;
        if (r < rows) dst[(size_t)r * out + c] = room[e];
      }
      __syncwarp();
    }
}

#define TENSOR_GEMM(NAME, T)                                                                                           \
  extern "C" __global__ void __launch_bounds__(256) NAME(float *dst, const T *x, const T *weight, int rows, int out, int in) { \
    tensor_gemm_of(dst, x, weight, rows, out, in);                                                                     \
  }
TENSOR_GEMM(tensor_gemm, bf16)
TENSOR_GEMM(tensor_gemm_f16, __half)
