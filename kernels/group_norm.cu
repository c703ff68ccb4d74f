// GroupNorm over channels-last tensors, optionally followed by SiLU, optionally over the concatenation of two tensors.
//
//   y[b, p, c] = act((x[b, p, c] - mean[b, g]) / sqrt(var[b, g] + eps) * weight[c] + bias[c]),   g = c / (C / groups)
//
// with mean and (biased) variance over all pixels p and the channels of group g, and x = concat(first, second).
//
// Tensors: first (B, P, C1), second (B, P, C2) or null, y (B, P, C), weight and bias (C): fp16, C = C1 + C2.
//          partials (B, groups, chunks): fp32 pairs (mean, M2), M2 the sum of squared deviations from that mean.
// Both kernels: grid (chunks, B), block rows * C / 8 threads rounded up to warps. A thread owns one vector of 8
//          channels and every rows-th pixel of its chunk, so that groups may have any number of channels and may
//          straddle the halves.
//          The grid may cover some of a sample's pixels: `first` and `second` then start there, P is their number, and the
//          statistics are those of `chunks` chunks of whole_pixels pixels, of which the grid's are first_chunk and on.
//   group_norm_statistics: dynamic shared memory 2 * rows * C * 4 bytes.
//   group_norm_apply: dynamic shared memory groups * 8 bytes; merges the chunks' statistics, then normalises its chunk.
// Numeric policy: fp32. A thread sums deviations from the first value it meets of each channel: the pivot is one of the
//          n values, so the subtraction loses at most a factor n + 1 however large |mean| / std is. Everything above is
//          merged from means and M2 (Chan et al. 1983) in a fixed order. Rows and chunks depend on (P, C) alone, so a
//          sample's bits do not depend on its batch.
// Constraints: C1 % 8 == 0, C2 % 8 == 0, C % groups == 0, C <= 8 * MAX_THREADS.
#include "fp16.cuh"
#include "warp.cuh"

#ifndef MAX_THREADS
#define MAX_THREADS 512
#endif
#ifndef SILU
#define SILU 1
#endif

// x * sigmoid(x). Relative error below 1e-6 for |x| < 16; tends to -0 where exp(-x) overflows.
__device__ __forceinline__ float silu(float x) {
    return __fdividef(x, 1.0f + __expf(-x));
}

// The part of a sample that a block works on, and a thread's place in it.
struct Chunk {
    u32 begin;  // first pixel
    u32 count;  // pixels
    u32 row;    // the thread's first pixel, from `begin`
    u32 column; // the thread's vector of 8 channels
};

__device__ __forceinline__ Chunk chunk_of_block(u32 pixels, u32 chunk_pixels, u32 vectors) {
    const u32 begin = blockIdx.x * chunk_pixels;
    return {begin, min(chunk_pixels, pixels - begin), threadIdx.x / vectors, threadIdx.x % vectors};
}

// One column of the concatenated input: where it starts in its half, and that half's vectors a pixel.
struct Column {
    const half8* start;
    u32 stride;
};

__device__ __forceinline__ Column input_column(const half8* first, const half8* second, u32 first_vectors, u32 vectors,
                                               u32 pixels, const Chunk& chunk) {
    const bool in_first = chunk.column < first_vectors;
    const u32 stride = in_first ? first_vectors : vectors - first_vectors;
    const u32 offset = in_first ? chunk.column : chunk.column - first_vectors;
    const u64 pixel = static_cast<u64>(blockIdx.y) * pixels + chunk.begin;
    return {(in_first ? first : second) + pixel * stride + offset, stride};
}

extern "C" __global__ void __launch_bounds__(MAX_THREADS, 2)
    group_norm_statistics(const half8* __restrict__ first, const half8* __restrict__ second,
                          float2* __restrict__ partials, u32 first_vectors, u32 vectors, u32 pixels, u32 chunk_pixels,
                          u32 rows, u32 groups, u32 chunks, u32 first_chunk) {
    extern __shared__ float shared[];
    const u32 channels = 8 * vectors;
    float* const means = shared;                     // (rows, channels)
    float* const squares = shared + rows * channels; // (rows, channels)
    const Chunk chunk = chunk_of_block(pixels, chunk_pixels, vectors);

    if (chunk.row < rows && chunk.row < chunk.count) {
        const Column input = input_column(first, second, first_vectors, vectors, pixels, chunk);
        float pivot[8], sum[8] = {}, square[8] = {};
        unpack_half8(input.start[chunk.row * input.stride], pivot);
        u32 count = 1;
#pragma unroll 4
        for (u32 pixel = chunk.row + rows; pixel < chunk.count; pixel += rows, ++count) {
            float x[8];
            unpack_half8(input.start[pixel * input.stride], x);
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                const float deviation = x[i] - pivot[i];
                sum[i] += deviation;
                square[i] = fmaf(deviation, deviation, square[i]);
            }
        }
        const float share = 1.0f / count;
        const u32 place = chunk.row * channels + 8 * chunk.column;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            means[place + i] = fmaf(sum[i], share, pivot[i]);
            squares[place + i] = fmaxf(fmaf(-sum[i] * share, sum[i], square[i]), 0.0f);
        }
    }
    __syncthreads();

    const u32 lane = threadIdx.x % WARP_SIZE, warps = blockDim.x / WARP_SIZE;
    const u32 width = channels / groups;
    const u32 entries = width * min(rows, chunk.count);
    for (u32 group = threadIdx.x / WARP_SIZE; group < groups; group += warps) {
        const float* const group_means = means + group * width;
        const float* const group_squares = squares + group * width;
        const float reference = group_means[0];
        float sum = 0.0f;
        for (u32 entry = lane; entry < entries; entry += WARP_SIZE) {
            const u32 row = entry / width;
            const float count = (chunk.count - row + rows - 1) / rows;
            sum = fmaf(count, group_means[row * channels + entry % width] - reference, sum);
        }
        const float mean = reference + warp_sum(sum) / (width * chunk.count);
        float square = 0.0f;
        for (u32 entry = lane; entry < entries; entry += WARP_SIZE) {
            const u32 row = entry / width, place = row * channels + entry % width;
            const float count = (chunk.count - row + rows - 1) / rows;
            const float deviation = group_means[place] - mean;
            square += fmaf(count * deviation, deviation, group_squares[place]);
        }
        square = warp_sum(square);
        if (lane == 0) {
            partials[(blockIdx.y * groups + group) * chunks + first_chunk + blockIdx.x] = make_float2(mean, square);
        }
    }
}

// The (mean, 1 / standard deviation) of one group of the block's sample, by one warp.
__device__ __forceinline__ float2 merge_chunks(const float2* __restrict__ partials, u32 chunks, u32 chunk_pixels,
                                               u32 pixels, u32 width, float epsilon) {
    const u32 lane = threadIdx.x % WARP_SIZE;
    const float reference = partials[0].x;
    const float total = static_cast<float>(pixels) * width;
    float sum = 0.0f;
    for (u32 chunk = lane; chunk < chunks; chunk += WARP_SIZE) {
        const float count = min(chunk_pixels, pixels - chunk * chunk_pixels) * width;
        sum = fmaf(count, partials[chunk].x - reference, sum);
    }
    const float mean = reference + warp_sum(sum) / total;
    float square = 0.0f;
    for (u32 chunk = lane; chunk < chunks; chunk += WARP_SIZE) {
        const float count = min(chunk_pixels, pixels - chunk * chunk_pixels) * width;
        const float2 partial = partials[chunk];
        const float deviation = partial.x - mean;
        square += fmaf(count * deviation, deviation, partial.y);
    }
    return make_float2(mean, rsqrtf(warp_sum(square) / total + epsilon));
}

extern "C" __global__ void __launch_bounds__(MAX_THREADS, 2)
    group_norm_apply(const half8* __restrict__ first, const half8* __restrict__ second,
                     const float2* __restrict__ partials, const half8* __restrict__ weight,
                     const half8* __restrict__ bias, half8* __restrict__ output, u32 first_vectors, u32 vectors,
                     u32 pixels, u32 chunk_pixels, u32 rows, u32 groups, u32 chunks, u32 whole_pixels,
                     float epsilon) {
    extern __shared__ float2 statistics[]; // (groups): mean, 1 / standard deviation
    const u32 width = 8 * vectors / groups, warps = blockDim.x / WARP_SIZE;
    for (u32 group = threadIdx.x / WARP_SIZE; group < groups; group += warps) {
        const float2* const parts = partials + (blockIdx.y * groups + group) * chunks;
        const float2 merged = merge_chunks(parts, chunks, chunk_pixels, whole_pixels, width, epsilon);
        if (threadIdx.x % WARP_SIZE == 0) {
            statistics[group] = merged;
        }
    }
    __syncthreads();

    const Chunk chunk = chunk_of_block(pixels, chunk_pixels, vectors);
    if (chunk.row >= rows) {
        return;
    }
    float mean[8], scale[8], shift[8];
    unpack_half8(weight[chunk.column], scale);
    unpack_half8(bias[chunk.column], shift);
#pragma unroll
    for (u32 i = 0; i < 8; ++i) {
        const float2 group = statistics[(8 * chunk.column + i) / width];
        mean[i] = group.x;
        scale[i] *= group.y;
    }
    const Column input = input_column(first, second, first_vectors, vectors, pixels, chunk);
    half8* const out = output + (static_cast<u64>(blockIdx.y) * pixels + chunk.begin) * vectors + chunk.column;
#pragma unroll 4
    for (u32 pixel = chunk.row; pixel < chunk.count; pixel += rows) {
        float x[8];
        unpack_half8(input.start[pixel * input.stride], x);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            x[i] = fmaf(x[i] - mean[i], scale[i], shift[i]);
#if SILU
            x[i] = silu(x[i]);
#endif
        }
        out[pixel * vectors] = pack_half8(x);
    }
}
