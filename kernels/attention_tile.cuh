// What both forms of the attention kernel share: rows of one head, masks, exponentials.
#ifndef ATTENTION_TILE_CUH
#define ATTENTION_TILE_CUH

#include "mma.cuh"

// The rows of one head of one sample: row r is HEAD_DIM fp16 from `start + r * stride`.
struct HeadRows {
    const half* start;
    u32 stride;
    u32 count;
};

constexpr int UNIT = 8;                       // fp16 of a 16-byte unit
constexpr int UNIT_BYTES = 16;
constexpr int HEAD_UNITS = HEAD_DIM / UNIT;   // units of a row of one head

// 2^x to about 2 ulp; 0 for -infinity.
__device__ __forceinline__ float exp2_approximate(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float minus_infinity() { return __int_as_float(0xff800000); }

// Combines a value over the four lanes that hold a row of an mma's result; all four get the same bits.
__device__ __forceinline__ float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffff, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffff, x, 2));
}

__device__ __forceinline__ float quad_sum(float x) {
    x += __shfl_xor_sync(0xffffffff, x, 1);
    return x + __shfl_xor_sync(0xffffffff, x, 2);
}

// The row within its 16 of result h (0, 1) of a lane, and the first of the two columns within its 8.
__device__ __forceinline__ u32 result_row(int lane, int h) { return lane / 4 + 8 * h; }
__device__ __forceinline__ u32 result_column(int lane) { return lane % 4 * 2; }

// Masks scores of 16 M rows from `row` on and 8 N keys from `key` on: keys that are not there, and where CAUSAL those
// after the row.
template <int M, int N>
__device__ __forceinline__ void mask_scores(float (&scores)[M][N][4], u32 row, u32 key, u32 keys, int lane) {
    if (key + 8 * N <= keys && (!CAUSAL || key + 8 * N <= row + 1)) {
        return;
    }
#pragma unroll
    for (int m = 0; m < M; ++m) {
#pragma unroll
        for (int n = 0; n < N; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const u32 k = key + 8 * n + result_column(lane) + i % 2;
                if (k >= keys || (CAUSAL && k > row + 16 * m + result_row(lane, i / 2))) {
                    scores[m][n][i] = minus_infinity();
                }
            }
        }
    }
}

#endif
