// LayerNorm over the rows of a matrix.
//
//   y[r, c] = (x[r, c] - mean[r]) / sqrt(var[r] + eps) * weight[c] + bias[c]
//
// with mean and (biased) variance over the row.
//
// Tensors: x and y (R, C), weight and bias (C): fp16.
// Grid ceil(R / WARPS), block WARPS * 32 threads, one warp a row; no shared memory.
// A lane holds VECTORS vectors of 8 columns in registers, lane l the vectors l, l + 32, ...
// Numeric policy: fp32, two passes over the registers: the mean first, then the squared deviations from it.
// Constraints: C % 8 == 0, C <= VECTORS * 256.
#include "fp16.cuh"
#include "warp.cuh"

#ifndef VECTORS
#define VECTORS 3
#endif
#ifndef WARPS
#define WARPS 4
#endif

extern "C" __global__ void __launch_bounds__(WARPS * 32)
    layer_norm(const half8* __restrict__ input, const half8* __restrict__ weight, const half8* __restrict__ bias,
               half8* __restrict__ output, u32 rows, u32 vectors, float epsilon) {
    const u32 lane = threadIdx.x % WARP_SIZE;
    const u32 row = blockIdx.x * WARPS + threadIdx.x / WARP_SIZE;
    if (row >= rows) {
        return;
    }
    const half8* const in = input + static_cast<u64>(row) * vectors;
    half8* const out = output + static_cast<u64>(row) * vectors;

    half8 held[VECTORS] = {};
    float sum = 0.0f;
#pragma unroll
    for (int v = 0; v < VECTORS; ++v) {
        const u32 column = lane + v * WARP_SIZE;
        if (column < vectors) {
            held[v] = in[column];
        }
        float x[8];
        unpack_half8(held[v], x);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            sum += x[i];
        }
    }
    const float share = 1.0f / (8 * vectors);
    const float mean = warp_sum(sum) * share;

    float square = 0.0f;
#pragma unroll
    for (int v = 0; v < VECTORS; ++v) {
        if (lane + v * WARP_SIZE < vectors) {
            float x[8];
            unpack_half8(held[v], x);
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                square = fmaf(x[i] - mean, x[i] - mean, square);
            }
        }
    }
    const float inverse_deviation = rsqrtf(fmaf(warp_sum(square), share, epsilon));

#pragma unroll
    for (int v = 0; v < VECTORS; ++v) {
        const u32 column = lane + v * WARP_SIZE;
        if (column < vectors) {
            float x[8], scale[8], shift[8];
            unpack_half8(held[v], x);
            unpack_half8(weight[column], scale);
            unpack_half8(bias[column], shift);
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                x[i] = fmaf((x[i] - mean) * inverse_deviation, scale[i], shift[i]);
            }
            out[column] = pack_half8(x);
        }
    }
}
