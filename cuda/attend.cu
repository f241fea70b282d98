// Rotation, append and attention over a ragged cache. The pairs of a KV head lie in pages; a table lists the pages of
// each head of a layer. Heads of a layer may hold different numbers of pairs.
#include "number.cuh"

// Split says where the pieces of each head begin when its pairs are divided into pieces of the same length.
struct Split {
  int first[HEADS + 1];
  int length;
};

// rotate norms one head of one token, turns it to its position, and appends it to the cache if it is a key or a value.
// A block is a head of a token: queries, keys, values.
template <typename T>
__device__ void rotate(float *qkv, T **table, Shape s, const Lens &lens, const int *positions, int from, const float *freq, int half,
                       float ropeScale, const float *queryNorm, const float *keyNorm, float epsilon) {
  extern __shared__ float x[];
  int token = blockIdx.y, head = blockIdx.x, kv = head - s.heads, dim = s.dim;
  float *row = qkv + ((size_t)token * (s.heads + 2 * s.kvHeads) + head) * dim;
  for (int i = threadIdx.x; i < dim; i += blockDim.x) x[i] = row[i];
  __syncthreads();
  if (kv < s.kvHeads) {
    const float *weight = kv < 0 ? queryNorm : keyNorm;
    if (weight) {
      float sum = 0;
      for (int i = threadIdx.x; i < dim; i += blockDim.x) sum += x[i] * x[i];
      float r = rsqrtf(blockSum(sum) / dim + epsilon);
      for (int i = threadIdx.x; i < dim; i += blockDim.x) x[i] *= r * weight[i];
      __syncthreads();
    }
    float position = positions ? positions[token] : from + token;
    for (int i = threadIdx.x; i < half; i += blockDim.x) {
      float sine, cosine, a = x[i], b = x[i + half];
      sincosf(position * freq[i], &sine, &cosine);
      sine *= ropeScale, cosine *= ropeScale;
      x[i] = a * cosine - b * sine, x[i + half] = b * cosine + a * sine;
    }
    __syncthreads();
  }
  if (kv < 0) {
    for (int i = threadIdx.x; i < dim; i += blockDim.x) row[i] = x[i];
    return;
  }
  int h = kv % s.kvHeads, at = lens.of[h] + token;
  T *place = table[(size_t)h * s.room + at / PAIRS] + ((kv < s.kvHeads ? 0 : PAIRS) + at % PAIRS) * dim;
  for (int i = threadIdx.x; i < dim; i += blockDim.x) place[i] = stored<T>(x[i]);
}

#define ROTATE(NAME, T)                                                                                                \
  extern "C" __global__ void NAME(float *qkv, T **table, Shape s, Lens lens, const int *positions, int from, const float *freq, \
                                  int half, float ropeScale, const float *queryNorm, const float *keyNorm, float epsilon) { \
    rotate<T>(qkv, table, s, lens, positions, from, freq, half, ropeScale, queryNorm, keyNorm, epsilon);               \
  }
ROTATE(rotate_f32, float)
ROTATE(rotate_bf16, bf16)

// rotate_one is rotate for one token, of which a captured graph knows neither the position nor the lengths before it.
extern "C" __global__ void rotate_one(float *qkv, const Place *place, Shape s, const float *freq, int half, float ropeScale,
                                      const float *queryNorm, const float *keyNorm, float epsilon) {
  next();
  waited();
  s.room = place->room;
  rotate<bf16>(qkv, place->table, s, place->lens, nullptr, place->position, freq, half, ropeScale, queryNorm, keyNorm, epsilon);
}

// attend lets the G query heads of one KV head, of one token, look at one piece of its pairs, each read once. LANES
// lanes share a pair, 8 channels each. The piece's result is its softmax sum, largest score and weighted values.
template <typename T, int LANES, int G>
__device__ void attend(float *part, const float *qkv, T **table, Shape s, Lens lens, Split split) {
  constexpr int AT_ONCE = sizeof(T) == 2 ? 4 : 2, WARPS = 8, SIDES = 32 / LANES;
  int token = blockIdx.y, group = s.heads / s.kvHeads, dim = s.dim, h = 0;
  while (split.first[h + 1] <= blockIdx.x) h++;
  int seen = lens.of[h] + token + 1, from = (blockIdx.x - split.first[h]) * split.length, to = min(seen, from + split.length);
  if (s.window > 0) from = max(from, seen - s.window);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, side = lane / LANES, channel = lane % LANES * 8;
  bool on = channel < dim;
  const float *query = qkv + ((size_t)token * (s.heads + 2 * s.kvHeads) + h * group + blockIdx.z * G) * dim + channel;
  float q[G][8], sum[G][8], most[G], total[G];
#pragma unroll
  for (int g = 0; g < G; g++) {
    most[g] = -INFINITY, total[g] = 0;
    bool use = on && blockIdx.z * G + g < group;
#pragma unroll
    for (int i = 0; i < 8; i++) q[g][i] = use ? query[g * dim + i] * s.scale : 0, sum[g][i] = 0;
  }
  constexpr int STEP = WARPS * SIDES * AT_ONCE;
  for (int base = from; base < to; base += STEP) {
    int mine = base + (warp * SIDES + side) * AT_ONCE;
    const T *places[AT_ONCE];
    float score[AT_ONCE][G];
#pragma unroll
    for (int j = 0; j < AT_ONCE; j++) {
      int at = min(mine + j, to - 1);
      places[j] = table[(size_t)h * s.room + at / PAIRS] + at % PAIRS * dim + (on ? channel : 0);
      float k[8];
      load8(k, places[j]);
#pragma unroll
      for (int g = 0; g < G; g++) {
        float x = 0;
#pragma unroll
        for (int i = 0; i < 8; i++) x += q[g][i] * k[i];
        score[j][g] = x;
      }
    }
#pragma unroll
    for (int g = 0; g < G; g++) {
      float top = most[g];
#pragma unroll
      for (int j = 0; j < AT_ONCE; j++) {
#pragma unroll
        for (int i = LANES / 2; i > 0; i /= 2) score[j][g] += __shfl_xor_sync(~0u, score[j][g], i);
        if (mine + j >= to) score[j][g] = -INFINITY;
        top = fmaxf(top, score[j][g]);
      }
      float shrink = top == -INFINITY ? 1 : __expf(most[g] - top);
      most[g] = top, total[g] *= shrink;
#pragma unroll
      for (int i = 0; i < 8; i++) sum[g][i] *= shrink;
#pragma unroll
      for (int j = 0; j < AT_ONCE; j++) {
        score[j][g] = top == -INFINITY ? 0 : __expf(score[j][g] - top);
        total[g] += score[j][g];
      }
    }
#pragma unroll
    for (int j = 0; j < AT_ONCE; j++) {
      float v[8];
      load8(v, places[j] + PAIRS * dim);
#pragma unroll
      for (int g = 0; g < G; g++)
#pragma unroll
        for (int i = 0; i < 8; i++) sum[g][i] += score[j][g] * v[i];
    }
  }
  __shared__ float tops[WARPS * SIDES][G], totals[WARPS * SIDES][G], sums[WARPS * SIDES][LANES * 8];
  int slot = warp * SIDES + side;
  if (lane % LANES == 0)
    for (int g = 0; g < G; g++) tops[slot][g] = most[g], totals[slot][g] = total[g];
  __syncthreads();
#pragma unroll
  for (int g = 0; g < G; g++) {
    float top = -INFINITY, all = 0;
    for (int i = 0; i < WARPS * SIDES; i++) top = fmaxf(top, tops[i][g]);
    for (int i = 0; i < WARPS * SIDES; i++)
      if (tops[i][g] != -INFINITY) all += totals[i][g] * __expf(tops[i][g] - top);
    float shrink = most[g] == -INFINITY ? 0 : __expf(most[g] - top);
#pragma unroll
    for (int i = 0; i < 8; i++) sums[slot][channel + i] = sum[g][i] * shrink;
    __syncthreads();
    if (blockIdx.z * G + g < group) {
      size_t piece = (size_t)token * gridDim.x + blockIdx.x;
      float *out = part + (piece * group + blockIdx.z * G + g) * (dim + 2);
      for (int i = threadIdx.x; i < dim; i += blockDim.x) {
        float x = 0;
        for (int j = 0; j < WARPS * SIDES; j++) x += sums[j][i];
        out[i] = x;
      }
      if (threadIdx.x == 0) out[dim] = top, out[dim + 1] = all;
    }
    __syncthreads();
  }
}

#define ATTEND(NAME, T, LANES, G)                                                                                      \
  extern "C" __global__ void __launch_bounds__(256) NAME(float *part, const float *qkv, T **table, Shape s, Lens lens, Split split) { \
    attend<T, LANES, G>(part, qkv, table, s, lens, split);                                                             \
  }
#define ATTENDS(TYPE, T, LANES)                                                                                        \
  ATTEND(attend_##TYPE##_##LANES##_1, T, LANES, 1)                                                                     \
  ATTEND(attend_##TYPE##_##LANES##_2, T, LANES, 2)                                                                     \
  ATTEND(attend_##TYPE##_##LANES##_4, T, LANES, 4)
ATTENDS(f32, float, 8)
ATTENDS(f32, float, 16)
ATTENDS(f32, float, 32)
ATTENDS(bf16, bf16, 8)
ATTENDS(bf16, bf16, 16)
ATTENDS(bf16, bf16, 32)

// combine puts the pieces of one query head of one token together.
extern "C" __global__ void combine(float *dst, const float *part, Shape s, Split split) {
  int token = blockIdx.y, head = blockIdx.x, group = s.heads / s.kvHeads, h = head / group, dim = s.dim;
  int pieces = split.first[s.kvHeads];
  const float *first = part + (((size_t)token * pieces + split.first[h]) * group + head % group) * (dim + 2);
  int n = split.first[h + 1] - split.first[h];
  size_t step = (size_t)group * (dim + 2);
  float top = -INFINITY, total = 0;
  for (int i = 0; i < n; i++) top = fmaxf(top, first[i * step + dim]);
  for (int i = 0; i < n; i++) {
    const float *p = first + i * step;
    if (p[dim + 1] > 0) total += p[dim + 1] * __expf(p[dim] - top);
  }
  for (int c = threadIdx.x; c < dim; c += blockDim.x) {
    float x = 0;
    for (int i = 0; i < n; i++) {
      const float *p = first + i * step;
      if (p[dim + 1] > 0) x += p[c] * __expf(p[dim] - top);
    }
    dst[((size_t)token * s.heads + head) * dim + c] = x / total;
  }
}
