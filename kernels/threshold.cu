// A mask from a map: 1 where the map is over the threshold, else 0.
//
// Tensors: map (P) fp32; mask (P) u8.
// Grid ceil(P / 256), block 256, one pixel a thread; no shared memory.
#include "fp16.cuh"

extern "C" __global__ void threshold(const float* __restrict__ map, u8* __restrict__ mask, u32 pixels, float level) {
    const u32 pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel < pixels) {
        mask[pixel] = map[pixel] > level;
    }
}
