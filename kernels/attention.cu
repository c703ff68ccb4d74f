// Scaled dot-product attention without the score matrix (flash attention):
//   output[b, i, h] = sum_j softmax_j(q[b, i, h] . k[b', j, h] / sqrt(HEAD_DIM)) v[b', j, h],  b' = b mod key_batch,
// over all keys j, or those with j <= i where CAUSAL.
//
// Shapes    q (batch, query_rows, query_columns), of which head h takes HEAD_DIM columns from
//           query_column + h HEAD_DIM; k and v (key_batch, key_rows, key_columns / value_columns) in the same way;
//           output (batch, query_rows, heads HEAD_DIM). fp16, row-major. One packed tensor may serve as all three.
// Grid      (ceil(query_rows / BLOCK_M), heads, batch), 32 WARPS threads.
// Forms     ROWS (attention_rows.cuh): a warp owns 16 ROW_TILES rows whole; BLOCK_M = 16 ROW_TILES WARPS.
//           Shared bytes: pitch = 16 (HEAD_DIM/8 | 1); stage = 2 BLOCK_N pitch; (STAGES - 1) stages, and the larger of
//           a stage and the queries' BLOCK_M pitch, or of these the queries' alone where all keys are one tile.
//           WIDE (attention_wide.cuh): 2 x 4 warps share rows and head dim; BLOCK_M = 32 ROW_TILES, BLOCK_N = 64.
//           Shared bytes: 8192 STAGES + 128 BLOCK_M (ceil(HEAD_DIM / 64) + 1) + 16 BLOCK_M.
// Numerics  fp16 products summed in fp32; softmax in fp32 by powers of two, online over tiles of keys in ascending
//           order. A score's exponent is one fma from the scaled largest score, and sums are rescaled by differences of
//           just these offsets: their rounding cancels, however large the scores. P, about 1 at most, is rounded to
//           fp16 for P V and summed before rounding; the output is rounded once. A row's
//           bits depend on BLOCK_N and the form, on nothing else in the batch.
// Needs     HEAD_DIM, columns and column offsets multiples of 8; rows * columns below 2^32; at least one key; where
//           CAUSAL, as many keys as queries. Rows and keys that are not there read as zeros and are masked.
#ifndef HEAD_DIM
#define HEAD_DIM 40
#endif
#ifndef CAUSAL
#define CAUSAL 0
#endif
#ifndef WIDE
#define WIDE 0
#endif
#ifndef WARPS
#define WARPS 4
#endif
#ifndef ROW_TILES
#define ROW_TILES 1
#endif
#ifndef BLOCK_N
#define BLOCK_N 64
#endif
#ifndef STAGES
#define STAGES 2
#endif

#include "attention_tile.cuh"
#if WIDE
#include "attention_wide.cuh"
#else
#include "attention_rows.cuh"
#endif

static_assert(HEAD_DIM % UNIT == 0 && HEAD_DIM > 0 && HEAD_DIM <= 512, "rows are copied in units of 16 bytes");

// `scale` is log2(e) / sqrt(HEAD_DIM).
extern "C" __global__ void __launch_bounds__(THREADS)
attention(const half* query, const half* key, const half* value, half* output, u32 query_rows, u32 key_rows,
          u32 key_batch, u32 query_columns, u32 query_column, u32 key_columns, u32 key_column, u32 value_columns,
          u32 value_column, float scale) {
    const u32 head_column = blockIdx.y * HEAD_DIM;
    const u64 sample = blockIdx.z;
    const u64 key_sample = blockIdx.z % key_batch;
    const u32 output_columns = gridDim.y * HEAD_DIM;
    const HeadRows queries = {query + sample * query_rows * query_columns + query_column + head_column, query_columns,
                              query_rows};
    const HeadRows keys = {key + key_sample * key_rows * key_columns + key_column + head_column, key_columns, key_rows};
    const HeadRows values = {value + key_sample * key_rows * value_columns + value_column + head_column, value_columns,
                             key_rows};
    attend(queries, keys, values, output + sample * query_rows * output_columns + head_column, output_columns, scale);
}
