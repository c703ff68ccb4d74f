// Attention for head dims too wide for one warp's registers: the 512 of the autoencoder.
//
// The queries stay in shared memory, and K and V stream past as chunks of 64 keys by 64 of the head dim. Eight warps
// stand two by four: each computes 16 keys' scores of half the rows, shares them as fp16 P through shared memory, and
// owns 16 columns of every chunk of the output.
#ifndef ATTENTION_WIDE_CUH
#define ATTENTION_WIDE_CUH

#include "attention_tile.cuh"

constexpr int WARPS_M = 2;
constexpr int WARPS_N = 4;
constexpr int THREADS = 32 * WARPS_M * WARPS_N;
constexpr int WARP_M = 16 * ROW_TILES;
constexpr int BLOCK_M = WARP_M * WARPS_M;
constexpr int CHUNK_UNITS = 8;                                         // 64 of the head dim, 128 bytes
constexpr int CHUNKS = (HEAD_UNITS + CHUNK_UNITS - 1) / CHUNK_UNITS;    // the last one filled up with zeros
constexpr int ROW_BYTES = CHUNK_UNITS * UNIT_BYTES;
constexpr int CHUNK_BYTES = BLOCK_N * ROW_BYTES;                       // K or V
constexpr int QUERY_CHUNK_BYTES = BLOCK_M * ROW_BYTES;
constexpr int QUERY_OFFSET = STAGES * CHUNK_BYTES;                     // (CHUNKS, BLOCK_M, 64) fp16
constexpr int P_OFFSET = QUERY_OFFSET + CHUNKS * QUERY_CHUNK_BYTES;    // (BLOCK_M, BLOCK_N) fp16
constexpr int ROW_OFFSET = P_OFFSET + BLOCK_M * BLOCK_N * 2;           // (WARPS_N, BLOCK_M) fp32

static_assert(BLOCK_N == 64, "a row of P is as long as a row of a chunk, and a warp computes 16 keys of it");
static_assert(WARPS == WARPS_M * WARPS_N, "the warps stand two by four");
static_assert(STAGES >= 2, "the ring needs a stage to fill while another is read");

using Scores = float[ROW_TILES][2][4];           // (WARP_M, 16 of BLOCK_N)
using Outputs = float[CHUNKS][ROW_TILES][2][4];  // (WARP_M, 16 of each chunk)

// Where a unit of a row lies in a tile of 128-byte rows: 8 rows of ldmatrix fall on all 32 banks.
__device__ __forceinline__ u32 swizzled(u32 row, u32 unit) {
    return row * ROW_BYTES + (unit ^ row % CHUNK_UNITS) * UNIT_BYTES;
}

// Starts copying chunk `chunk` of rows `first .. first + ROWS`, zeros for what is not there.
template <int ROWS>
__device__ __forceinline__ void copy_chunk(u32 destination, const HeadRows& rows, u32 first, u32 chunk) {
    const u32 unit = threadIdx.x % CHUNK_UNITS;
    const u32 column_unit = chunk * CHUNK_UNITS + unit;
#pragma unroll
    for (u32 row = threadIdx.x / CHUNK_UNITS; row < ROWS; row += THREADS / CHUNK_UNITS) {
        copy_async_16(destination + swizzled(row, unit), rows.start + (first + row) * rows.stride + column_unit * UNIT,
                      first + row < rows.count && column_unit < HEAD_UNITS);
    }
}

// The chunks in the order they are used: for each tile of keys those of K, then those of V.
struct Stream {
    const HeadRows& key;
    const HeadRows& value;
    u32 base;
    u32 tiles;
    u32 tile;   // of the chunk to copy next
    u32 chunk;  // and its place in the tile: CHUNKS of K, CHUNKS of V
    u32 write_stage;
    u32 read_stage;

    __device__ __forceinline__ void copy_next() {
        if (tile < tiles) {
            const bool is_value = chunk >= CHUNKS;
            const HeadRows rows = {is_value ? value.start : key.start, is_value ? value.stride : key.stride, key.count};
            copy_chunk<BLOCK_N>(base + write_stage * CHUNK_BYTES, rows, tile * BLOCK_N,
                                is_value ? chunk - CHUNKS : chunk);
            if (++chunk == 2 * CHUNKS) {
                chunk = 0;
                ++tile;
            }
        }
        copy_async_commit();
        write_stage = write_stage + 1 == STAGES ? 0 : write_stage + 1;
    }

    // The address of the next chunk, once it is there for all warps. All are then done with the one before.
    __device__ __forceinline__ u32 next() {
        copy_async_wait<STAGES - 2>();
        __syncthreads();
        copy_next();
        const u32 address = base + read_stage * CHUNK_BYTES;
        read_stage = read_stage + 1 == STAGES ? 0 : read_stage + 1;
        return address;
    }
};

// One lane's place: its warp's rows and columns in the block.
struct Place {
    int lane;
    u32 row;     // first row of the warp in the block
    u32 column;  // first of the warp's 16 keys, and of its 16 columns of each chunk
};

// scores += Q K^T over one chunk of the head dim.
__device__ __forceinline__ void multiply_keys(Scores& scores, u32 queries, u32 keys, const Place& place) {
    const int lane = place.lane;
#pragma unroll
    for (int k = 0; k < CHUNK_UNITS; k += 2) {
        u32 b[4];
        load_matrix_x4(b, keys + swizzled(place.column + lane / 16 * 8 + lane % 8, k + lane / 8 % 2));
#pragma unroll
        for (int m = 0; m < ROW_TILES; ++m) {
            u32 a[4];
            load_matrix_x4(a, queries + swizzled(place.row + m * 16 + lane % 16, k + lane / 16));
            mma_16x8x16(scores[m][0], a, b[0], b[1]);
            mma_16x8x16(scores[m][1], a, b[2], b[3]);
        }
    }
}

// Of each row of a lane, the largest scaled score so far and the lane's share of the sum of exponentials.
struct Softmax {
    float offset[ROW_TILES][2];
    float sum[ROW_TILES][2];
};

// Writes a value of each row (the same in the four lanes of a quad) for the other warps of these rows.
__device__ __forceinline__ void share_rows(const float (&values)[ROW_TILES][2], float* shared_rows,
                                           const Place& place) {
    if (place.lane % 4 == 0) {
#pragma unroll
        for (int m = 0; m < ROW_TILES; ++m) {
#pragma unroll
            for (int h = 0; h < 2; ++h) {
                shared_rows[place.column / 16 * BLOCK_M + place.row + m * 16 + result_row(place.lane, h)] =
                    values[m][h];
            }
        }
    }
}

// Raises each row's offset to what the four warps of its rows found, and rescales what was summed before.
__device__ __forceinline__ void raise_offsets(Softmax& softmax, Outputs& outputs, const Scores& scores, float scale,
                                              float* shared_rows, const Place& place) {
    float own[ROW_TILES][2];
#pragma unroll
    for (int m = 0; m < ROW_TILES; ++m) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            own[m][h] = quad_max(fmaxf(fmaxf(scores[m][0][2 * h], scores[m][0][2 * h + 1]),
                                       fmaxf(scores[m][1][2 * h], scores[m][1][2 * h + 1])));
        }
    }
    share_rows(own, shared_rows, place);
    __syncthreads();
#pragma unroll
    for (int m = 0; m < ROW_TILES; ++m) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            const float* row = shared_rows + place.row + m * 16 + result_row(place.lane, h);
            float largest = row[0];
#pragma unroll
            for (int n = 1; n < WARPS_N; ++n) {
                largest = fmaxf(largest, row[n * BLOCK_M]);
            }
            const float offset = fmaxf(softmax.offset[m][h], largest * scale);
            const float shrink = exp2_approximate(softmax.offset[m][h] - offset);
            softmax.offset[m][h] = offset;
            softmax.sum[m][h] *= shrink;
#pragma unroll
            for (int chunk = 0; chunk < CHUNKS; ++chunk) {
#pragma unroll
                for (int n = 0; n < 2; ++n) {
                    outputs[chunk][m][n][2 * h] *= shrink;
                    outputs[chunk][m][n][2 * h + 1] *= shrink;
                }
            }
        }
    }
}

// Sums the exponentials of a warp's scores and writes them as its 16 columns of P.
__device__ __forceinline__ void exponentiate(Softmax& softmax, const Scores& scores, float scale, unsigned char* p,
                                             const Place& place) {
#pragma unroll
    for (int m = 0; m < ROW_TILES; ++m) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            const float offset = softmax.offset[m][h];
            const u32 row = place.row + m * 16 + result_row(place.lane, h);
#pragma unroll
            for (int n = 0; n < 2; ++n) {
                const float low = exp2_approximate(fmaf(scores[m][n][2 * h], scale, -offset));
                const float high = exp2_approximate(fmaf(scores[m][n][2 * h + 1], scale, -offset));
                softmax.sum[m][h] += low + high;
                u32* unit = reinterpret_cast<u32*>(p + swizzled(row, place.column / UNIT + n));
                unit[place.lane % 4] = pack_half2(low, high);
            }
        }
    }
}

using Probabilities = u32[BLOCK_N / 16][ROW_TILES][4];  // (WARP_M, BLOCK_N) as left operands

__device__ __forceinline__ void load_probabilities(Probabilities& p, u32 tile, const Place& place) {
#pragma unroll
    for (int k = 0; k < BLOCK_N / 16; ++k) {
#pragma unroll
        for (int m = 0; m < ROW_TILES; ++m) {
            load_matrix_x4(p[k][m],
                           tile + swizzled(place.row + m * 16 + place.lane % 16, k * 2 + place.lane / 16));
        }
    }
}

// outputs += P V over the keys of one chunk of V.
__device__ __forceinline__ void multiply_values(float (&outputs)[ROW_TILES][2][4],
                                                const Probabilities& p, u32 values, const Place& place) {
#pragma unroll
    for (int k = 0; k < BLOCK_N / 16; ++k) {
        u32 b[4];
        load_matrix_x4_transposed(
            b, values + swizzled(k * 16 + place.lane % 16, place.column / UNIT + place.lane / 16));
#pragma unroll
        for (int m = 0; m < ROW_TILES; ++m) {
            mma_16x8x16(outputs[m][0], p[k][m], b[0], b[1]);
            mma_16x8x16(outputs[m][1], p[k][m], b[2], b[3]);
        }
    }
}

// One over the sum of each row's exponentials, from the shares of all lanes of the four warps of its rows.
__device__ __forceinline__ void invert_sums(float (&inverse)[ROW_TILES][2], const Softmax& softmax, float* shared_rows,
                                            const Place& place) {
    float own[ROW_TILES][2];
#pragma unroll
    for (int m = 0; m < ROW_TILES; ++m) {
        own[m][0] = quad_sum(softmax.sum[m][0]);
        own[m][1] = quad_sum(softmax.sum[m][1]);
    }
    share_rows(own, shared_rows, place);
    __syncthreads();
#pragma unroll
    for (int m = 0; m < ROW_TILES; ++m) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            const float* row = shared_rows + place.row + m * 16 + result_row(place.lane, h);
            float sum = row[0];
#pragma unroll
            for (int n = 1; n < WARPS_N; ++n) {
                sum += row[n * BLOCK_M];
            }
            inverse[m][h] = 1.0f / sum;
        }
    }
}

// Lays the outputs, divided by the sums, where the queries were: (CHUNKS, BLOCK_M, 64).
__device__ __forceinline__ void stage_outputs(const Outputs& outputs, const float (&inverse)[ROW_TILES][2],
                                              unsigned char* staging, const Place& place) {
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; ++chunk) {
#pragma unroll
        for (int m = 0; m < ROW_TILES; ++m) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int n = i / 2, h = i % 2;
                const u32 row = place.row + m * 16 + result_row(place.lane, h);
                const float(&sums)[4] = outputs[chunk][m][n];
                u32* unit = reinterpret_cast<u32*>(staging + chunk * QUERY_CHUNK_BYTES +
                                                   swizzled(row, place.column / UNIT + n));
                unit[place.lane % 4] = pack_half2(sums[2 * h] * inverse[m][h], sums[2 * h + 1] * inverse[m][h]);
            }
        }
    }
}

__device__ __forceinline__ void store_outputs(const unsigned char* staging, half* output, u32 stride, u32 rows) {
    for (int i = threadIdx.x; i < BLOCK_M * HEAD_UNITS; i += THREADS) {
        const u32 row = i / HEAD_UNITS;
        const u32 unit = i % HEAD_UNITS;
        if (row < rows) {
            *reinterpret_cast<half8*>(output + row * stride + unit * UNIT) = *reinterpret_cast<const half8*>(
                staging + unit / CHUNK_UNITS * QUERY_CHUNK_BYTES + swizzled(row, unit % CHUNK_UNITS));
        }
    }
}

// One block's work: rows `blockIdx.x * BLOCK_M ..` of one head of one sample.
__device__ __forceinline__ void attend(const HeadRows& query, const HeadRows& key, const HeadRows& value, half* output,
                                       u32 output_stride, float scale) {
    extern __shared__ __align__(16) unsigned char shared[];
    const u32 base = shared_address(shared);
    float* shared_rows = reinterpret_cast<float*>(shared + ROW_OFFSET);
    const u32 warp = threadIdx.x / 32;
    const Place place = {static_cast<int>(threadIdx.x % 32), warp / WARPS_N * WARP_M, warp % WARPS_N * 16};
    const u32 block_row = blockIdx.x * BLOCK_M;
    const u32 keys = CAUSAL ? min(key.count, block_row + BLOCK_M) : key.count;
    const u32 tiles = (keys + BLOCK_N - 1) / BLOCK_N;

    for (int chunk = 0; chunk < CHUNKS; ++chunk) {
        copy_chunk<BLOCK_M>(base + QUERY_OFFSET + chunk * QUERY_CHUNK_BYTES, query, block_row, chunk);
    }
    Stream stream = {key, value, base, tiles, 0, 0, 0, 0};
    for (int stage = 0; stage < STAGES - 1; ++stage) {
        stream.copy_next();  // the queries are in the first group
    }

    Outputs outputs = {};
    Softmax softmax;
#pragma unroll
    for (int m = 0; m < ROW_TILES; ++m) {
        softmax.offset[m][0] = softmax.offset[m][1] = minus_infinity();
        softmax.sum[m][0] = softmax.sum[m][1] = 0.0f;
    }
    for (u32 tile = 0; tile < tiles; ++tile) {
        Scores scores = {};
#pragma unroll 1
        for (int chunk = 0; chunk < CHUNKS; ++chunk) {
            const u32 keys_chunk = stream.next();
            multiply_keys(scores, base + QUERY_OFFSET + chunk * QUERY_CHUNK_BYTES, keys_chunk, place);
        }
        mask_scores(scores, block_row + place.row, tile * BLOCK_N + place.column, key.count, place.lane);
        raise_offsets(softmax, outputs, scores, scale, shared_rows, place);
        exponentiate(softmax, scores, scale, shared + P_OFFSET, place);

        Probabilities p;
#pragma unroll
        for (int chunk = 0; chunk < CHUNKS; ++chunk) {
            const u32 values_chunk = stream.next();
            if (chunk == 0) {
                load_probabilities(p, base + P_OFFSET, place);  // next()'s barrier has made them whole
            }
            multiply_values(outputs[chunk], p, values_chunk, place);
        }
    }

    float inverse[ROW_TILES][2];
    invert_sums(inverse, softmax, shared_rows, place);
    stage_outputs(outputs, inverse, shared + QUERY_OFFSET, place);
    __syncthreads();
    store_outputs(shared + QUERY_OFFSET, output + static_cast<u64>(block_row) * output_stride, output_stride,
                  query.count - block_row);
}

#endif
