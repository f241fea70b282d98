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

// Votes are the attention of up to 64 queries to the pairs of bfloat16 keys, on the tensor cores: queries count as the sum
// of two bfloat16 numbers, so that they lose nothing that shows. A block looks at some pages for one query head, first to
// find the largest score of every query and the sum of its softmax there, then, when all blocks have, to add the softmax
// of its pairs up. Scores are found twice and never stored.
constexpr int VOTERS = 128; // threads: a warp has 16 queries

struct Voters {
  int heads, kvHeads, dim, room, rows, most, pages, blocks; // rows: queries; most: pairs of a row of dst; pages: of a block
  float scale;
};

template <bool FOLD>
__device__ void vote(float *dst, float *part, const float *queries, bf16 **table, const Voters &v, const Lens &lens, const int *seen,
                     const float *weights) {
  extern __shared__ __align__(128) bf16 rows[]; // high parts of the queries, low parts, keys of a page
  __shared__ float most[QUERIES], share[QUERIES], columns[4][PAIRS];
  __shared__ int from[QUERIES], to[QUERIES];
  int group = v.heads / v.kvHeads, h = blockIdx.z, head = h * group + blockIdx.x, n = lens.of[h], row = v.dim + 8, parts = v.dim / 8;
  bf16 *high = rows, *low = high + QUERIES * row, *keys = low + QUERIES * row;
  int first = blockIdx.y * v.pages, end = min(first + v.pages, (n + PAIRS - 1) / PAIRS);
  float *mine = part + (size_t)head * v.blocks * QUERIES * 2;
  if (!FOLD)
    for (int i = threadIdx.x; i < QUERIES; i += VOTERS) {
      float *p = mine + (blockIdx.y * QUERIES + i) * 2;
      p[0] = -INFINITY, p[1] = 0;
    }
  if (first >= end) return;
  __syncthreads();
  for (int i = threadIdx.x; i < QUERIES * parts; i += VOTERS) {
    int r = i / parts, c = i % parts * 8;
    float x[8] = {}, rest[8];
    if (r < v.rows) load8(x, queries + ((size_t)r * v.heads + head) * v.dim + c);
    for (int j = 0; j < 8; j++) x[j] *= v.scale * 1.4426950409f, rest[j] = x[j] - __bfloat162float(__float2bfloat16_rn(x[j]));
    *reinterpret_cast<uint4 *>(high + r * row + c) = make_uint4(pack(x[0], x[1]), pack(x[2], x[3]), pack(x[4], x[5]), pack(x[6], x[7]));
    *reinterpret_cast<uint4 *>(low + r * row + c) =
        make_uint4(pack(rest[0], rest[1]), pack(rest[2], rest[3]), pack(rest[4], rest[5]), pack(rest[6], rest[7]));
  }
  if (threadIdx.x < QUERIES) {
    int i = threadIdx.x;
    from[i] = i < v.rows ? seen[(h * v.rows + i) * 2] : 0, to[i] = i < v.rows ? seen[(h * v.rows + i) * 2 + 1] : 0;
    if (FOLD) { // what all blocks found
      float top = -INFINITY, sum = 0;
      for (int b = 0; b < v.blocks; b++) top = fmaxf(top, mine[(b * QUERIES + i) * 2]);
      for (int b = 0; b < v.blocks; b++)
        if (float *p = mine + (b * QUERIES + i) * 2; p[1] > 0) sum += p[1] * exp2f(p[0] - top);
      most[i] = top, share[i] = sum > 0 ? weights[i] / sum : 0;
    }
  }
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  float top[2] = {-INFINITY, -INFINITY}, total[2] = {};
  for (int page = first; page < end; page++) {
    __syncthreads();
    const bf16 *source = table[(size_t)h * v.room + page];
    for (int i = threadIdx.x; i < PAIRS * parts; i += VOTERS) copy16(keys + i / parts * row + i % parts * 8, source + i * 8);
    commit();
    arrived<0>();
    __syncthreads();
    float score[8][4] = {};
#pragma unroll 1
    for (int k = 0; k < v.dim / 16; k++) {
      unsigned a[4], b[4];
      matrices(a, high + (warp * 16 + lane % 16) * row + k * 16 + lane / 16 * 8);
      unsigned c[4];
      matrices(c, low + (warp * 16 + lane % 16) * row + k * 16 + lane / 16 * 8);
#pragma unroll
      for (int j = 0; j < 4; j++) { // 16 pairs each
        matrices(b, keys + (j * 16 + lane % 8 + lane / 16 * 8) * row + k * 16 + lane / 8 % 2 * 8);
        product(score[2 * j], a, b[0], b[1]), product(score[2 * j + 1], a, b[2], b[3]);
        product(score[2 * j], c, b[0], b[1]), product(score[2 * j + 1], c, b[2], b[3]);
      }
    }
#pragma unroll
    for (int side = 0; side < 2; side++) {
      int r = warp * 16 + lane / 4 + side * 8, begins = from[r], ends = to[r];
      float above = top[side];
#pragma unroll
      for (int j = 0; j < 8; j++)
#pragma unroll
        for (int i = 2 * side; i < 2 * side + 2; i++) {
          int at = page * PAIRS + j * 8 + lane % 4 * 2 + i % 2;
          if (at < begins || at >= ends) score[j][i] = -INFINITY;
          above = fmaxf(above, score[j][i]);
        }
      if constexpr (FOLD) {
        float largest = most[r], factor = share[r];
#pragma unroll
        for (int j = 0; j < 8; j++)
#pragma unroll
          for (int i = 2 * side; i < 2 * side + 2; i++) score[j][i] = score[j][i] == -INFINITY ? 0 : exp2f(score[j][i] - largest) * factor;
      } else if (above != -INFINITY) {
        float sum = 0;
#pragma unroll
        for (int j = 0; j < 8; j++)
#pragma unroll
          for (int i = 2 * side; i < 2 * side + 2; i++) sum += exp2f(score[j][i] - above);
        total[side] = total[side] * exp2f(top[side] - above) + sum, top[side] = above;
      }
    }
    if constexpr (FOLD) {
#pragma unroll
      for (int j = 0; j < 8; j++)
#pragma unroll
        for (int i = 0; i < 2; i++) {
          float sum = score[j][i] + score[j][i + 2];
          for (int k = 4; k < 32; k *= 2) sum += __shfl_xor_sync(~0u, sum, k);
          if (lane < 4) columns[warp][j * 8 + lane * 2 + i] = sum;
        }
      __syncthreads();
      int at = page * PAIRS + threadIdx.x;
      if (threadIdx.x < PAIRS && at < n)
        dst[(size_t)head * v.most + at] += columns[0][threadIdx.x] + columns[1][threadIdx.x] + columns[2][threadIdx.x] + columns[3][threadIdx.x];
    }
  }
  if constexpr (!FOLD) {
#pragma unroll
    for (int side = 0; side < 2; side++) { // the four lanes of a row
      for (int i = 1; i < 4; i *= 2) {
        float other = __shfl_xor_sync(~0u, top[side], i), sum = __shfl_xor_sync(~0u, total[side], i), above = fmaxf(top[side], other);
        if (above != -INFINITY) total[side] = total[side] * exp2f(top[side] - above) + sum * exp2f(other - above);
        top[side] = above;
      }
      float *p = mine + (blockIdx.y * QUERIES + warp * 16 + lane / 4 + side * 8) * 2;
      if (lane % 4 == 0) p[0] = top[side], p[1] = total[side];
    }
  }
}

extern "C" __global__ void __launch_bounds__(VOTERS)
    vote_tops(float *part, const float *queries, bf16 **table, Voters v, Lens lens, const int *seen) {
  vote<false>(nullptr, part, queries, table, v, lens, seen, nullptr);
}
extern "C" __global__ void __launch_bounds__(VOTERS)
    vote_fold(float *dst, float *part, const float *queries, bf16 **table, Voters v, Lens lens, const int *seen, const float *weights) {
  vote<true>(dst, part, queries, table, v, lens, seen, weights);
}
