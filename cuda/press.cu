// What presses ask a layer for: lengths of keys and values, and the attention of some queries to every pair.
#include "number.cuh"

// Lengths of all keys, or of all values, of a layer: (KVHeads, most). A warp measures a pair.
template <typename T>
__device__ void lengths(float *dst, T **table, Lens lens, int room, int dim, int most, int values) {
  int h = blockIdx.y, at = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (at >= lens.of[h]) return;
  const T *x = table[(size_t)h * room + at / PAIRS] + ((values ? PAIRS : 0) + at % PAIRS) * dim;
  float sum = 0;
  for (int i = threadIdx.x % 32; i < dim; i += 32) sum += number(x[i]) * number(x[i]);
  sum = warpSum(sum);
  if (threadIdx.x % 32 == 0) dst[(size_t)h * most + at] = sqrtf(sum);
}

// turn norms every head of every row of x (rows, heads * dim), if there is a weight, and turns it to its row's position,
// if there are positions. A block is a head of a row.
extern "C" __global__ void turn(float *x, int dim, const float *weight, float epsilon, const int *positions, const float *freq, int half,
                                float ropeScale) {
  float *row = x + ((size_t)blockIdx.y * gridDim.x + blockIdx.x) * dim;
  if (weight) {
    float sum = 0;
    for (int i = threadIdx.x; i < dim; i += blockDim.x) sum += row[i] * row[i];
    float r = rsqrtf(blockSum(sum) / dim + epsilon);
    for (int i = threadIdx.x; i < dim; i += blockDim.x) row[i] *= r * weight[i];
    __syncthreads();
  }
  if (!positions) return;
  float position = positions[blockIdx.y];
  for (int i = threadIdx.x; i < half; i += blockDim.x) {
    float sine, cosine, a = row[i], b = row[i + half];
    sincosf(position * freq[i], &sine, &cosine);
    sine *= ropeScale, cosine *= ropeScale;
    row[i] = a * cosine - b * sine, row[i + half] = b * cosine + a * sine;
  }
}

constexpr int QUERIES = 64; // whose scores are found at a time

// dots multiplies up to 64 queries of one head, stride numbers apart, with the keys of a page each block: (64, n).
template <typename T>
__device__ void dots(float *dst, const float *queries, int stride, T **pages, int rows, int n, int dim, float scale) {
  __shared__ float q[16][QUERIES + 1], k[16][PAIRS + 1];
  const T *page = pages[blockIdx.x];
  int ty = threadIdx.x / 16, tx = threadIdx.x % 16, first = blockIdx.x * PAIRS;
  float sum[4][4] = {};
  for (int c = 0; c < dim; c += 16) {
    for (int i = threadIdx.x; i < 1024; i += 256) {
      int r = i / 16, e = i % 16;
      q[e][r] = r < rows && c + e < dim ? queries[(size_t)r * stride + c + e] : 0;
      k[e][r] = first + r < n && c + e < dim ? number(page[r * dim + c + e]) : 0;
    }
    __syncthreads();
#pragma unroll
    for (int e = 0; e < 16; e++)
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) sum[i][j] += q[e][ty + 16 * i] * k[e][tx + 16 * j];
    __syncthreads();
  }
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++)
      if (ty + 16 * i < rows && first + tx + 16 * j < n) dst[(size_t)(ty + 16 * i) * n + first + tx + 16 * j] = sum[i][j] * scale;
}

// tops finds the largest score of a row and the sum of its softmax. Seen lists for each row where the pairs begin that
// it sees, and where they end.
extern "C" __global__ void tops(float *top, const float *scores, const int *seen, int n) {
  const float *row = scores + (size_t)blockIdx.x * n;
  int from = seen[2 * blockIdx.x], to = seen[2 * blockIdx.x + 1];
  __shared__ float part[32];
  float most = -INFINITY, sum = 0;
  for (int i = from + threadIdx.x; i < to; i += blockDim.x) most = fmaxf(most, row[i]);
  for (int i = 16; i > 0; i /= 2) most = fmaxf(most, __shfl_xor_sync(~0u, most, i));
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = most;
  __syncthreads();
  for (int i = 0; i < blockDim.x / 32; i++) most = fmaxf(most, part[i]);
  for (int i = from + threadIdx.x; i < to; i += blockDim.x) sum += expf(row[i] - most);
  sum = blockSum(sum);
  if (threadIdx.x == 0) top[2 * blockIdx.x] = most, top[2 * blockIdx.x + 1] = sum;
}

// fold adds the softmax of all rows, times the weight of each, to dst (n).
extern "C" __global__ void fold(float *dst, const float *scores, const float *top, const int *seen, const float *weights, int rows, int n) {
  int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= n) return;
  float sum = dst[at];
  for (int r = 0; r < rows; r++)
    if (at >= seen[2 * r] && at < seen[2 * r + 1]) sum += weights[r] * (expf(scores[(size_t)r * n + at] - top[2 * r]) / top[2 * r + 1]);
  dst[at] = sum;
}

#define PRESS(KIND, T)                                                                                                 \
  extern "C" __global__ void lengths_##KIND(float *dst, T **table, Lens lens, int room, int dim, int most, int values) { \
    lengths(dst, table, lens, room, dim, most, values);                                                                \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(256)                                                                    \
      dots_##KIND(float *dst, const float *queries, int stride, T **pages, int rows, int n, int dim, float scale) {    \
    dots(dst, queries, stride, pages, rows, n, dim, scale);                                                            \
  }
PRESS(f32, float)
PRESS(bf16, bf16)
