// The latents of an encoded picture, from the moments that the VAE's encoder gives.
//
//   y = scaling * (mean + exp(clamp(logvar, -30, 20) / 2) * noise), or scaling * mean without noise
//
// Tensors: moments (B, H, W, 8), channels 0..4 the mean and 4..8 the logarithm of the variance, fp32 where MOMENTS_F32,
//          else fp16; noise (B, H, W, 4) fp16 or null; y (B, H, W, 4) fp32.
// Grid ceil(pixels / 256), block 256, one pixel a thread; no shared memory.
// Numeric policy: fp32.
#include "latents.cuh"

#ifndef MOMENTS_F32
#define MOMENTS_F32 0
#endif

#if MOMENTS_F32
typedef float4 Moments;
#else
typedef half4 Moments;
#endif

__device__ __forceinline__ float standard_deviation(float log_variance) {
    return expf(0.5f * fminf(fmaxf(log_variance, -30.0f), 20.0f));
}

extern "C" __global__ void posterior(const Moments* __restrict__ moments, const half4* __restrict__ noise,
                                     float4* __restrict__ latents, u32 pixels, float scaling) {
    const u32 pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= pixels) {
        return;
    }
    float4 value = to_float4(moments[2 * pixel]);
    if (noise != nullptr) {
        const float4 log_variance = to_float4(moments[2 * pixel + 1]);
        const float4 z = to_float4(noise[pixel]);
        value.x = fmaf(standard_deviation(log_variance.x), z.x, value.x);
        value.y = fmaf(standard_deviation(log_variance.y), z.y, value.y);
        value.z = fmaf(standard_deviation(log_variance.z), z.z, value.z);
        value.w = fmaf(standard_deviation(log_variance.w), z.w, value.w);
    }
    latents[pixel] = multiply(scaling, value);
}
