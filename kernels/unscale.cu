// The VAE decoder's input from latents.
//
//   y[p, c] = latents[p, c] / scaling for c < 4, else 0
//
// Tensors: latents (B, H, W, 4) fp32; y (B, H, W, 8) fp16.
// Grid ceil(pixels / 256), block 256, one pixel a thread; no shared memory.
// Numeric policy: a product in fp32 with the reciprocal, one rounding to fp16.
#include "latents.cuh"

extern "C" __global__ void unscale(const float4* __restrict__ latents, half8* __restrict__ output, u32 pixels,
                                   float reciprocal) {
    const u32 pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel < pixels) {
        output[pixel] = padded(multiply(reciprocal, latents[pixel]));
    }
}
