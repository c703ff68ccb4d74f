// Attention for head dims whose output rows fit the registers of the warp that owns them.
//
// A warp owns 16 ROW_TILES rows: their queries and outputs stay in its registers from first to last, and its scores
// become the left operand of P V without leaving them. K and V pass through a ring of STAGES tiles in shared memory.
#ifndef ATTENTION_ROWS_CUH
#define ATTENTION_ROWS_CUH

#include "attention_tile.cuh"

constexpr int THREADS = 32 * WARPS;
constexpr int WARP_M = 16 * ROW_TILES;
constexpr int BLOCK_M = WARP_M * WARPS;
constexpr int KEY_TILES = BLOCK_N / 8;
constexpr int STEPS = HEAD_DIM / 16;          // of 16 along the head dim in Q K^T
constexpr bool TAIL = HEAD_DIM % 16 != 0;     // and one of 8
constexpr int PITCH_BYTES = (HEAD_UNITS | 1) * UNIT_BYTES;  // odd units: 8 rows of ldmatrix fall on all 32 banks
constexpr int TILE_BYTES = BLOCK_N * PITCH_BYTES;           // K or V
constexpr int STAGE_BYTES = 2 * TILE_BYTES;                 // K, then V
constexpr int QUERY_OFFSET = (STAGES - 1) * STAGE_BYTES;    // the last stage is free until the queries are read

static_assert(BLOCK_N % 16 == 0, "P V takes 16 keys a step");
static_assert(STAGES >= 2, "the ring needs a stage to fill while another is read");

// A warp's queries as left operands.
struct Queries {
    u32 steps[ROW_TILES][STEPS > 0 ? STEPS : 1][4];
    u32 tail[ROW_TILES][2];
};

// A warp's online softmax: of each row of a lane, the largest scaled score so far and the lane's share of the sum of
// exponentials.
struct Softmax {
    float offset[ROW_TILES][2];
    float sum[ROW_TILES][2];
};

using Scores = float[ROW_TILES][KEY_TILES][4];    // (WARP_M, BLOCK_N)
using Outputs = float[ROW_TILES][HEAD_UNITS][4];  // (WARP_M, HEAD_DIM)

// Starts copying rows `first .. first + ROWS` to shared memory, zeros for those that are not there.
template <int ROWS>
__device__ __forceinline__ void copy_rows(u32 destination, const HeadRows& rows, u32 first) {
    constexpr int UNITS = ROWS * HEAD_UNITS;
#pragma unroll 4
    for (int i = threadIdx.x; i < UNITS; i += THREADS) {
        const u32 row = i / HEAD_UNITS;
        const u32 unit = i % HEAD_UNITS;
        copy_async_16(destination + row * PITCH_BYTES + unit * UNIT_BYTES,
                      rows.start + (first + row) * rows.stride + unit * UNIT, first + row < rows.count);
    }
}

// The address a lane gives ldmatrix for 16 rows by two units of a left operand, or of a transposed right operand.
__device__ __forceinline__ u32 lane_offset_by_rows(int lane) {
    return lane % 16 * PITCH_BYTES + lane / 16 * UNIT_BYTES;
}

// The same for a right operand as it lies: both units of the first 8 rows, then of the last 8.
__device__ __forceinline__ u32 lane_offset_by_units(int lane) {
    return (lane / 16 * 8 + lane % 8) * PITCH_BYTES + lane / 8 % 2 * UNIT_BYTES;
}

__device__ __forceinline__ void load_queries(Queries& queries, u32 tile, int lane) {
#pragma unroll
    for (int m = 0; m < ROW_TILES; ++m) {
        const u32 rows = tile + m * 16 * PITCH_BYTES;
#pragma unroll
        for (int k = 0; k < STEPS; ++k) {
            load_matrix_x4(queries.steps[m][k], rows + lane_offset_by_rows(lane) + k * 2 * UNIT_BYTES);
        }
        if constexpr (TAIL) {
            load_matrix_x2(queries.tail[m], rows + lane % 16 * PITCH_BYTES + (HEAD_UNITS - 1) * UNIT_BYTES);
        }
    }
}

// scores += Q K^T over one tile of keys.
__device__ __forceinline__ void multiply_keys(Scores& scores, const Queries& queries, u32 tile, int lane) {
#pragma unroll
    for (int n = 0; n < KEY_TILES; n += 2) {
        const u32 keys = tile + n * 8 * PITCH_BYTES;
#pragma unroll
        for (int k = 0; k < STEPS; ++k) {
            u32 b[4];
            load_matrix_x4(b, keys + lane_offset_by_units(lane) + k * 2 * UNIT_BYTES);
#pragma unroll
            for (int m = 0; m < ROW_TILES; ++m) {
                mma_16x8x16(scores[m][n], queries.steps[m][k], b[0], b[1]);
                mma_16x8x16(scores[m][n + 1], queries.steps[m][k], b[2], b[3]);
            }
        }
        if constexpr (TAIL) {
            u32 b[2];
            load_matrix_x2(b, keys + lane % 16 * PITCH_BYTES + (HEAD_UNITS - 1) * UNIT_BYTES);
#pragma unroll
            for (int m = 0; m < ROW_TILES; ++m) {
                mma_16x8x8(scores[m][n], queries.tail[m], b[0]);
                mma_16x8x8(scores[m][n + 1], queries.tail[m], b[1]);
            }
        }
    }
}

// Replaces scores by exponentials and rescales what was summed before where a row's largest score has grown.
__device__ __forceinline__ void exponentiate(Scores& scores, Softmax& softmax, Outputs& outputs, float scale) {
#pragma unroll
    for (int m = 0; m < ROW_TILES; ++m) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            float largest = scores[m][0][2 * h];
#pragma unroll
            for (int n = 0; n < KEY_TILES; ++n) {
                largest = fmaxf(largest, fmaxf(scores[m][n][2 * h], scores[m][n][2 * h + 1]));
            }
            const float offset = fmaxf(softmax.offset[m][h], quad_max(largest) * scale);
            const float shrink = exp2_approximate(softmax.offset[m][h] - offset);
            float sum = softmax.sum[m][h] * shrink;
#pragma unroll
            for (int n = 0; n < KEY_TILES; ++n) {
#pragma unroll
                for (int i = 2 * h; i < 2 * h + 2; ++i) {
                    scores[m][n][i] = exp2_approximate(fmaf(scores[m][n][i], scale, -offset));
                    sum += scores[m][n][i];
                }
            }
#pragma unroll
            for (int u = 0; u < HEAD_UNITS; ++u) {
                outputs[m][u][2 * h] *= shrink;
                outputs[m][u][2 * h + 1] *= shrink;
            }
            softmax.offset[m][h] = offset;
            softmax.sum[m][h] = sum;
        }
    }
}

// outputs += P V over one tile of keys, P rounded to fp16.
__device__ __forceinline__ void multiply_values(Outputs& outputs, const Scores& scores, u32 tile, int lane) {
#pragma unroll
    for (int n = 0; n < KEY_TILES; n += 2) {
        const u32 keys = tile + n * 8 * PITCH_BYTES;
        u32 p[ROW_TILES][4];
#pragma unroll
        for (int m = 0; m < ROW_TILES; ++m) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const float(&pair)[4] = scores[m][n + i / 2];
                p[m][i] = pack_half2(pair[i % 2 * 2], pair[i % 2 * 2 + 1]);
            }
        }
#pragma unroll
        for (int u = 0; u + 1 < HEAD_UNITS; u += 2) {
            u32 b[4];
            load_matrix_x4_transposed(b, keys + lane_offset_by_rows(lane) + u * UNIT_BYTES);
#pragma unroll
            for (int m = 0; m < ROW_TILES; ++m) {
                mma_16x8x16(outputs[m][u], p[m], b[0], b[1]);
                mma_16x8x16(outputs[m][u + 1], p[m], b[2], b[3]);
            }
        }
        if constexpr (HEAD_UNITS % 2 != 0) {
            u32 b[2];
            load_matrix_x2_transposed(b, keys + lane % 16 * PITCH_BYTES + (HEAD_UNITS - 1) * UNIT_BYTES);
#pragma unroll
            for (int m = 0; m < ROW_TILES; ++m) {
                mma_16x8x16(outputs[m][HEAD_UNITS - 1], p[m], b[0], b[1]);
            }
        }
    }
}

// Divides by the sums and writes a warp's rows, through its own part of shared memory so that stores are whole units.
__device__ __forceinline__ void store_outputs(const Outputs& outputs, const Softmax& softmax, unsigned char* staging,
                                              half* output, u32 stride, u32 rows, int lane) {
#pragma unroll
    for (int m = 0; m < ROW_TILES; ++m) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            const float inverse = 1.0f / quad_sum(softmax.sum[m][h]);
            unsigned char* row = staging + (m * 16 + result_row(lane, h)) * PITCH_BYTES;
#pragma unroll
            for (int u = 0; u < HEAD_UNITS; ++u) {
                u32* pair = reinterpret_cast<u32*>(row + u * UNIT_BYTES) + lane % 4;
                *pair = pack_half2(outputs[m][u][2 * h] * inverse, outputs[m][u][2 * h + 1] * inverse);
            }
        }
    }
    __syncwarp();
#pragma unroll 4
    for (int i = lane; i < WARP_M * HEAD_UNITS; i += 32) {
        const u32 row = i / HEAD_UNITS;
        const u32 unit = i % HEAD_UNITS;
        if (row < rows) {
            *reinterpret_cast<half8*>(output + row * stride + unit * UNIT) =
                *reinterpret_cast<const half8*>(staging + row * PITCH_BYTES + unit * UNIT_BYTES);
        }
    }
}

// One block's work: rows `blockIdx.x * BLOCK_M ..` of one head of one sample.
__device__ __forceinline__ void attend(const HeadRows& query, const HeadRows& key, const HeadRows& value, half* output,
                                       u32 output_stride, float scale) {
    extern __shared__ __align__(16) unsigned char shared[];
    const u32 base = shared_address(shared);
    const int lane = threadIdx.x % 32;
    const u32 block_row = blockIdx.x * BLOCK_M;
    const u32 warp_row = block_row + threadIdx.x / 32 * WARP_M;
    const u32 keys = CAUSAL ? min(key.count, block_row + BLOCK_M) : key.count;
    const u32 tiles = (keys + BLOCK_N - 1) / BLOCK_N;

    const auto copy_stage = [&](u32 tile) {
        if (tile < tiles) {
            const u32 stage = base + tile % STAGES * STAGE_BYTES;
            copy_rows<BLOCK_N>(stage, key, tile * BLOCK_N);
            copy_rows<BLOCK_N>(stage + TILE_BYTES, value, tile * BLOCK_N);
        }
        copy_async_commit();
    };
    copy_rows<BLOCK_M>(base + QUERY_OFFSET, query, block_row);
    copy_async_commit();
    for (int stage = 0; stage < STAGES - 1; ++stage) {
        copy_stage(stage);
    }

    copy_async_wait<STAGES - 1>();
    __syncthreads();
    Queries queries;
    load_queries(queries, base + QUERY_OFFSET + (warp_row - block_row) * PITCH_BYTES, lane);
    Outputs outputs = {};
    Softmax softmax;
#pragma unroll
    for (int m = 0; m < ROW_TILES; ++m) {
        softmax.offset[m][0] = softmax.offset[m][1] = minus_infinity();
        softmax.sum[m][0] = softmax.sum[m][1] = 0.0f;
    }

    for (u32 tile = 0; tile < tiles; ++tile) {
        copy_async_wait<STAGES - 2>();
        __syncthreads();  // the tile is there for all, and all are done with the one before it, or with the queries
        copy_stage(tile + STAGES - 1);
        const u32 first_key = tile * BLOCK_N;
        if (warp_row >= query.count || (CAUSAL && first_key >= warp_row + WARP_M)) {
            continue;  // the whole warp: no rows, or none that may see these keys
        }
        const u32 stage = base + tile % STAGES * STAGE_BYTES;
        Scores scores = {};
        multiply_keys(scores, queries, stage, lane);
        mask_scores(scores, warp_row, first_key, key.count, lane);
        exponentiate(scores, softmax, outputs, scale);
        multiply_values(outputs, scores, stage + TILE_BYTES, lane);
    }

    __syncthreads();  // the outputs take the place of the tiles
    if (warp_row < query.count) {
        store_outputs(outputs, softmax, shared + (warp_row - block_row) * PITCH_BYTES,
                      output + static_cast<u64>(warp_row) * output_stride, output_stride, query.count - warp_row, lane);
    }
}

#endif
