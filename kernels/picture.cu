// Pictures to and from the networks' tensors.
//
//   to_tensor:  y[p, c] = x[p, c] / 127.5 - 1 for c < 3, else 0
//   to_picture: y[p, c] = round(255 * clamp(x[p, c] / 2 + 0.5, 0, 1)), ties to even
//
// Tensors: pictures (B, H, W, 3) u8, red first; to_tensor writes (H, W, 8) fp16; to_picture reads (B, H, W, C), fp32
//          where TENSOR_F32, else fp16, and takes its first three channels.
// Grid ceil(pixels / 256), block 256, one pixel a thread; no shared memory.
// Numeric policy: fp32 inside, one rounding. NaN becomes 0 in a picture.
#include "fp16.cuh"

#ifndef TENSOR_F32
#define TENSOR_F32 0
#endif

#if TENSOR_F32
typedef float Element;
__device__ __forceinline__ float to_float(float element) {
    return element;
}
#else
typedef half Element;
#endif

extern "C" __global__ void to_tensor(const u8* __restrict__ picture, half8* __restrict__ tensor, u32 pixels) {
    const u32 pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= pixels) {
        return;
    }
    const u8* const in = picture + 3 * static_cast<u64>(pixel);
    float x[8] = {};
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        x[c] = in[c] / 127.5f - 1.0f;
    }
    tensor[pixel] = pack_half8(x);
}

extern "C" __global__ void to_picture(const Element* __restrict__ tensor, u8* __restrict__ picture, u32 pixels,
                                      u32 channels) {
    const u32 pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= pixels) {
        return;
    }
    const Element* const in = tensor + static_cast<u64>(pixel) * channels;
    u8* const out = picture + 3 * static_cast<u64>(pixel);
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        const float level = fminf(fmaxf(fmaf(to_float(in[c]), 0.5f, 0.5f), 0.0f), 1.0f);
        out[c] = static_cast<u8>(rintf(255.0f * level));
    }
}
