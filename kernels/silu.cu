// SiLU of every element: y = x * sigmoid(x).
//
// Tensors: x and y fp16, of any shape, as vectors of 8.
// Grid ceil(vectors / 256), block 256, one vector a thread; no shared memory.
// Numeric policy: fp32 inside, one rounding.
// Constraints: the number of elements is a multiple of 8.
#include "fp16.cuh"
#include "silu.cuh"

extern "C" __global__ void silu_elements(const half8* __restrict__ input, half8* __restrict__ output, u32 vectors) {
    const u32 index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= vectors) {
        return;
    }
    float x[8];
    unpack_half8(input[index], x);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        x[i] = silu(x[i]);
    }
    output[index] = pack_half8(x);
}
