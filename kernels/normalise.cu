// The map from the summed differences: mean over the channels, stretched to 0..1.
//
//   v[p] = mean over c of sum[p, c];   map[p] = (v[p] - min v) / (max v - min v), or 0 everywhere if v is constant
//
// The number of noise maps behind the sums cancels.
//
// Tensors: sum (P, 4) fp32; map (P) fp32.
// Grid 1, block THREADS; static shared memory 2 * THREADS / 32 floats.
// Numeric policy: fp32. Minimum and maximum do not depend on the order they are taken in.
#include "latents.cuh"
#include "warp.cuh"

#ifndef THREADS
#define THREADS 1024
#endif

__device__ __forceinline__ float channel_mean(float4 pixel) {
    return 0.25f * ((pixel.x + pixel.y) + (pixel.z + pixel.w));
}

extern "C" __global__ void __launch_bounds__(THREADS)
    normalise(const float4* __restrict__ sum, float* __restrict__ map, u32 pixels) {
    __shared__ float minima[THREADS / WARP_SIZE], maxima[THREADS / WARP_SIZE];
    float low = channel_mean(sum[0]), high = low;
    for (u32 pixel = threadIdx.x; pixel < pixels; pixel += THREADS) {
        const float value = channel_mean(sum[pixel]);
        low = fminf(low, value);
        high = fmaxf(high, value);
    }
    low = warp_min(low);
    high = warp_max(high);
    if (threadIdx.x % WARP_SIZE == 0) {
        minima[threadIdx.x / WARP_SIZE] = low;
        maxima[threadIdx.x / WARP_SIZE] = high;
    }
    __syncthreads();
    for (u32 warp = 0; warp < THREADS / WARP_SIZE; ++warp) {
        low = fminf(low, minima[warp]);
        high = fmaxf(high, maxima[warp]);
    }
    const float range = high - low;
    for (u32 pixel = threadIdx.x; pixel < pixels; pixel += THREADS) {
        map[pixel] = range > 0.0f ? (channel_mean(sum[pixel]) - low) / range : 0.0f;
    }
}
