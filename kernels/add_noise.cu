// Noised copies of one picture's latents.
//
//   y[m, p, c] = signal * latents[p, c] + sigma * noise[m, p, c]
//
// Tensors: latents (1, H, W, 4) fp32; noise (M, H, W, 4) fp16; input (M * repeat, H, W, 8) fp16, the network's input:
//          y in channels 0..4 and zeros in 4..8, each y `repeat` times in a row, one for each prompt;
//          noised (M, H, W, 4) fp32, y itself, or null.
// Grid (ceil(pixels / 256), M), block 256, one pixel of one y a thread; no shared memory.
// Numeric policy: fp32 inside.
#include "latents.cuh"

extern "C" __global__ void add_noise(const float4* __restrict__ latents, const half4* __restrict__ noise,
                                     half8* __restrict__ input, float4* __restrict__ noised, u32 pixels, u32 repeat,
                                     float signal, float sigma) {
    const u32 pixel = blockIdx.x * blockDim.x + threadIdx.x;
    const u64 sample = blockIdx.y;
    if (pixel >= pixels) {
        return;
    }
    const float4 z = to_float4(noise[sample * pixels + pixel]);
    const float4 value = multiply_add(sigma, z, multiply(signal, latents[pixel]));
    if (noised != nullptr) {
        noised[sample * pixels + pixel] = value;
    }
    const half8 vector = padded(value);
    for (u32 copy = 0; copy < repeat; ++copy) {
        input[(sample * repeat + copy) * pixels + pixel] = vector;
    }
}
