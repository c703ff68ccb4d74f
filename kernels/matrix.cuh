// The matrix engine: C (m, n) = A (m, k) W (n, k)^T, one TILE_M x TILE_N tile of C a block, on tensor cores.
//
//   C tile     (TILE_M, TILE_N)   fp32, in the registers of WARPS_M x WARPS_N warps
//   A stage    (TILE_M, TILE_K)   fp16, shared; k is contiguous
//   W stage    (TILE_N, TILE_K)   fp16, shared; k is contiguous
//
// STAGES stages of A and W form a ring in shared memory: while one is multiplied, the others are on their way by
// cp.async. A row of a stage is CHUNKS chunks of 16 bytes, permuted by an exclusive or with the row's number, so that
// the eight rows that one ldmatrix phase reads lie in different banks. After the last product the ring is reused for
// the C tile in fp32, from which rows are finished and stored 16 bytes at a time.
//
//   grid    (tiles, column tiles innermost; parts of k)     block   32 * WARPS_M * WARPS_N
//   shared  max(STAGES * (TILE_M + TILE_N) * TILE_K * 2, TILE_M * TILE_N * 4) bytes
//
// Where a grid would leave multiprocessors idle, k is split into gridDim.y parts, whose sums are stored apart in fp32
// for split_sum.cu to add.
//
// Numeric policy: fp16 factors, fp32 sums in the order of k in steps of 16, whatever the tile: the bits of C depend on
// the number of parts, but neither on the tile nor on which rows are computed together. One rounding, when C is stored.
// Constraints: k % 8 == 0, A's chunks and W 16-byte aligned. m, n and k need not be multiples of the tile: what lies
// outside is read as zeros and not stored.
#ifndef MATRIX_CUH
#define MATRIX_CUH

#include "epilogue.cuh"
#include "mma.cuh"

#ifndef TILE_M
#define TILE_M 128
#endif
#ifndef TILE_N
#define TILE_N 128
#endif
#ifndef TILE_K
#define TILE_K 32
#endif
#ifndef STAGES
#define STAGES 4
#endif
#ifndef WARPS_M
#define WARPS_M 2
#endif
#ifndef WARPS_N
#define WARPS_N 4
#endif

constexpr int THREADS = 32 * WARPS_M * WARPS_N;

// Copies to shared memory.
constexpr int CHUNK = 8;                          // fp16 numbers of a 16-byte copy
constexpr int CHUNKS = TILE_K / CHUNK;            // of a row of a stage
constexpr int ROW_BYTES = 2 * TILE_K;             // of a stage
constexpr int PASS_ROWS = THREADS / CHUNKS;       // rows that the block copies at a time
constexpr int A_PASSES = TILE_M / PASS_ROWS;
constexpr int W_PASSES = TILE_N / PASS_ROWS;
constexpr int A_BYTES = TILE_M * ROW_BYTES;
constexpr int STAGE_BYTES = (TILE_M + TILE_N) * ROW_BYTES;

// Products: a warp's part of the tile is M_FRAGMENTS x N_FRAGMENTS products of (16, 16) by (16, 8).
constexpr int WARP_TILE_M = TILE_M / WARPS_M;
constexpr int WARP_TILE_N = TILE_N / WARPS_N;
constexpr int M_FRAGMENTS = WARP_TILE_M / 16;
constexpr int N_FRAGMENTS = WARP_TILE_N / 8;

// The stored tile: a thread finishes 8 columns of STORES rows.
constexpr int ROW_OCTETS = TILE_N / 8;
constexpr int STORE_ROWS = THREADS / ROW_OCTETS;  // rows that the block stores at a time
constexpr int STORES = TILE_M / STORE_ROWS;

static_assert(CHUNKS == 4 || CHUNKS == 8, "a stage's row is 64 or 128 bytes");
static_assert(TILE_M % (16 * WARPS_M) == 0 && TILE_N % (16 * WARPS_N) == 0, "whole fragments, W's in pairs");
static_assert(PASS_ROWS % 8 == 0 && TILE_M % PASS_ROWS == 0 && TILE_N % PASS_ROWS == 0, "whole passes of copies");
static_assert(ROW_OCTETS >= 4 && THREADS % ROW_OCTETS == 0 && TILE_M % STORE_ROWS == 0, "whole passes of stores");
static_assert(STAGES >= 2, "one stage to fill while another is multiplied");

extern __shared__ __align__(128) unsigned char matrix_shared[];

// Byte offset of a chunk in a stage's matrix: each run of 128 bytes (8 / CHUNKS rows) has its own permutation.
__device__ __forceinline__ int chunk_offset(int row, int chunk) {
    return row * ROW_BYTES + 16 * (chunk ^ (row / (8 / CHUNKS) % CHUNKS));
}

// Position of a tile in C.
struct TilePosition {
    int row;
    int column;

    __device__ explicit TilePosition(int n) {
        const int column_tiles = (n + TILE_N - 1) / TILE_N;
        row = blockIdx.x / column_tiles * TILE_M;
        column = blockIdx.x % column_tiles * TILE_N;
    }

    // The first of the eight columns of C that this thread stores.
    __device__ __forceinline__ int store_column() const {
        return column + 8 * (threadIdx.x % ROW_OCTETS);
    }
};

// This block's part of the steps of TILE_K along k: gridDim.y parts of one length, but for the last.
struct Part {
    int first;
    int count;

    __device__ explicit Part(int k) {
        const int steps = (k + TILE_K - 1) / TILE_K;
        const int length = (steps + gridDim.y - 1) / gridDim.y;
        first = blockIdx.y * length;
        count = min(length, steps - first);
    }
};

// Loads the rows of a matrix (rows, columns), for PASSES passes from `first_row`. This is the form of a loader:
// `chunk` names the 16 bytes that this thread copies in a pass, and `advance` goes some steps further along k.
template <int PASSES>
struct MatrixRows {
    const half* source;  // this thread's chunk in its first row
    u64 pass_stride;     // elements
    int rows_left;       // from this thread's first row
    int columns_left;    // from this thread's chunk

    __device__ MatrixRows(const half* matrix, int rows, int columns, int first_row) {
        const int row = first_row + threadIdx.x / CHUNKS;
        const int column = threadIdx.x % CHUNKS * CHUNK;
        source = matrix + static_cast<u64>(row) * columns + column;
        pass_stride = static_cast<u64>(PASS_ROWS) * columns;
        rows_left = rows - row;
        columns_left = columns - column;
    }

    __device__ __forceinline__ const half* chunk(int pass, bool& valid) const {
        valid = pass * PASS_ROWS < rows_left && columns_left > 0;
        return source + pass * pass_stride;
    }

    __device__ __forceinline__ void advance(int steps) {
        source += steps * TILE_K;
        columns_left -= steps * TILE_K;
    }
};

// Starts the copies of this thread's chunks to `destination`, where its first one goes.
template <int PASSES, typename Loader>
__device__ __forceinline__ void copy_rows(u32 destination, Loader& loader) {
#pragma unroll
    for (int pass = 0; pass < PASSES; ++pass) {
        bool valid;
        const half* source = loader.chunk(pass, valid);
        copy_async_16(destination + pass * PASS_ROWS * ROW_BYTES, source, valid);
    }
    loader.advance(1);
}

// c += A stage (WARP_TILE_M, TILE_K) times W stage (WARP_TILE_N, TILE_K)^T; `a` and `w` are the addresses of this
// lane's rows in the two, before their permutations `a_chunk` and `w_chunk`.
__device__ __forceinline__ void multiply_stage(float (&c)[M_FRAGMENTS][N_FRAGMENTS][4], u32 a, int a_chunk, u32 w,
                                               int w_chunk) {
#pragma unroll
    for (int k = 0; k < CHUNKS; k += 2) {
        u32 a_fragments[M_FRAGMENTS][4];      // (16, 16)
        u32 w_fragments[N_FRAGMENTS / 2][4];  // 2 x (8, 16)
#pragma unroll
        for (int i = 0; i < M_FRAGMENTS; ++i) {
            load_matrix_x4(a_fragments[i], a + i * 16 * ROW_BYTES + 16 * (a_chunk ^ k));
        }
#pragma unroll
        for (int j = 0; j < N_FRAGMENTS / 2; ++j) {
            load_matrix_x4(w_fragments[j], w + j * 16 * ROW_BYTES + 16 * (w_chunk ^ k));
        }
#pragma unroll
        for (int i = 0; i < M_FRAGMENTS; ++i) {
#pragma unroll
            for (int j = 0; j < N_FRAGMENTS; ++j) {
                mma_16x8x16(c[i][j], a_fragments[i], w_fragments[j / 2][j % 2 * 2], w_fragments[j / 2][j % 2 * 2 + 1]);
            }
        }
    }
}

// The sums of this warp's part of the tile over this block's part of k.
template <typename Loader>
__device__ __forceinline__ void multiply(float (&c)[M_FRAGMENTS][N_FRAGMENTS][4], Loader& a,
                                         MatrixRows<W_PASSES>& w, int k) {
#pragma unroll
    for (int i = 0; i < M_FRAGMENTS; ++i) {
#pragma unroll
        for (int j = 0; j < N_FRAGMENTS; ++j) {
            c[i][j][0] = c[i][j][1] = c[i][j][2] = c[i][j][3] = 0.0f;
        }
    }
    const u32 ring = shared_address(matrix_shared);
    const u32 a_copy = ring + chunk_offset(threadIdx.x / CHUNKS, threadIdx.x % CHUNKS);
    const u32 w_copy = a_copy + A_BYTES;

    // ldmatrix takes the address of one row a lane. A's fragment is rows 0-7 and 8-15 of its first chunk, then of its
    // second; a pair of W's is both chunks of rows 0-7, then both of rows 8-15. Rows 16 apart share a permutation.
    const int lane = threadIdx.x % 32;
    const int warp = threadIdx.x / 32;
    const int a_row = warp / WARPS_N * WARP_TILE_M + lane % 16;
    const int w_row = warp % WARPS_N * WARP_TILE_N + lane % 8 + lane / 16 * 8;
    const int a_chunk = (lane / 16) ^ (a_row / (8 / CHUNKS) % CHUNKS);
    const int w_chunk = (lane / 8 % 2) ^ (w_row / (8 / CHUNKS) % CHUNKS);
    const u32 a_rows = ring + a_row * ROW_BYTES;
    const u32 w_rows = ring + A_BYTES + w_row * ROW_BYTES;

    const Part part(k);
    const int steps = part.count;
    a.advance(part.first);
    w.advance(part.first);
#pragma unroll
    for (int stage = 0; stage < STAGES - 1; ++stage) {
        if (stage < steps) {
            copy_rows<A_PASSES>(a_copy + stage * STAGE_BYTES, a);
            copy_rows<W_PASSES>(w_copy + stage * STAGE_BYTES, w);
        }
        copy_async_commit();
    }
    u32 full = 0;                           // offset of the stage to multiply
    u32 free = (STAGES - 1) * STAGE_BYTES;  // of the stage to fill
    for (int step = 0; step < steps; ++step) {
        // This thread's copies have arrived; behind the barrier everyone's have, and the stage multiplied last is free.
        copy_async_wait<STAGES - 2>();
        __syncthreads();
        if (step + STAGES - 1 < steps) {
            copy_rows<A_PASSES>(a_copy + free, a);
            copy_rows<W_PASSES>(w_copy + free, w);
        }
        copy_async_commit();
        multiply_stage(c, a_rows + full, a_chunk, w_rows + full, w_chunk);
        free = full;
        full = full + STAGE_BYTES == STAGES * STAGE_BYTES ? 0 : full + STAGE_BYTES;
    }
    copy_async_wait<0>();
    __syncthreads();
}

// Where this block stores its part of k: the parts' sums (m, n) lie one after the other.
__device__ __forceinline__ void* part_output(void* output, int m, int n) {
    return gridDim.y > 1 ? static_cast<float*>(output) + static_cast<u64>(blockIdx.y) * m * n : output;
}

// Index of eight columns of a row in the fp32 tile; permuted so that a fragment's rows lie in different banks.
__device__ __forceinline__ int octet_index(int row, int octet) {
    return row * TILE_N + 8 * (octet ^ (row % 4));
}

// Puts this warp's sums into the fp32 tile in shared memory; a barrier must follow.
__device__ __forceinline__ void stage_sums(const float (&c)[M_FRAGMENTS][N_FRAGMENTS][4]) {
    float* tile = reinterpret_cast<float*>(matrix_shared);  // (TILE_M, TILE_N)
    const int lane = threadIdx.x % 32;
    const int warp = threadIdx.x / 32;
    const int first_row = warp / WARPS_N * WARP_TILE_M + lane / 4;
    const int first_octet = warp % WARPS_N * N_FRAGMENTS;
#pragma unroll
    for (int i = 0; i < M_FRAGMENTS; ++i) {
#pragma unroll
        for (int j = 0; j < N_FRAGMENTS; ++j) {
#pragma unroll
            for (int half_rows = 0; half_rows < 2; ++half_rows) {
                const int index = octet_index(first_row + i * 16 + half_rows * 8, first_octet + j) + lane % 4 * 2;
                const float2 pair = make_float2(c[i][j][2 * half_rows], c[i][j][2 * half_rows + 1]);
                *reinterpret_cast<float2*>(tile + index) = pair;
            }
        }
    }
}

// Finishes and stores the tile: activation(sums + addends) + residual. Residuals are requested for several rows before
// the first is needed.
__device__ __forceinline__ void store_tile(const float (&c)[M_FRAGMENTS][N_FRAGMENTS][4], TilePosition position,
                                           const Addends& addends, const Destination& destination) {
    constexpr int GROUP = STORES < 4 ? STORES : 4;
    static_assert(STORES % GROUP == 0, "whole groups of rows");
    float offset[8];
    addends.gather(offset, position.store_column(), destination.n);
    stage_sums(c);
    __syncthreads();
    const float* tile = reinterpret_cast<const float*>(matrix_shared);  // (TILE_M, TILE_N)
    const int octet = threadIdx.x % ROW_OCTETS;
    const int columns = destination.n * OUTPUTS / 8;              // of the output
    const int column = position.store_column() * OUTPUTS / 8;     // in the output
    const bool whole = columns % OUTPUTS == 0;                    // so that every OUTPUTS columns are aligned
    if (column >= columns) {
        return;
    }
#pragma unroll 1
    for (int group = 0; group < STORES; group += GROUP) {
        const int first = threadIdx.x / ROW_OCTETS + group * STORE_ROWS;  // in the tile
        OutputHalves residuals[GROUP];
        if (destination.residual != nullptr && whole) {
#pragma unroll
            for (int i = 0; i < GROUP; ++i) {
                const int row = position.row + first + i * STORE_ROWS;
                if (row < destination.m) {
                    residuals[i] = destination.load_residual(static_cast<u64>(row) * columns + column);
                }
            }
        }
#pragma unroll
        for (int i = 0; i < GROUP; ++i) {
            const int tile_row = first + i * STORE_ROWS;
            const int row = position.row + tile_row;
            if (row >= destination.m) {
                break;
            }
            const float4* sums = reinterpret_cast<const float4*>(tile + octet_index(tile_row, octet));
            const float4 low = sums[0];
            const float4 high = sums[1];
            const float values[8] = {low.x + offset[0],  low.y + offset[1],  low.z + offset[2],  low.w + offset[3],
                                     high.x + offset[4], high.y + offset[5], high.z + offset[6], high.w + offset[7]};
            float result[OUTPUTS];
            activate(values, result);
            const u64 index = static_cast<u64>(row) * columns + column;
            if (whole) {
                destination.store(index, result, residuals[i]);
            } else {
                destination.store_some(index, columns - column, result);
            }
        }
    }
}

#endif
