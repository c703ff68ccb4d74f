// The text encoder's first hidden states: token embedding plus position embedding.
//
//   y[b, r, :] = tokens[ids[b, r], :] + positions[r, :]
//
// Tensors: ids (B, R) i32; tokens (vocabulary, C), positions (>= R, C), y (B, R, C) fp16.
// Grid ceil(B * R * C / 8 / 256), block 256, one vector of 8 channels a thread; no shared memory.
// Numeric policy: the sum in fp32, one rounding.
// Constraints: C % 8 == 0. An id outside the vocabulary traps.
#include "fp16.cuh"

extern "C" __global__ void text_embedding(const int* __restrict__ ids, const half8* __restrict__ tokens,
                                          const half8* __restrict__ positions, half8* __restrict__ output,
                                          u32 total_rows, u32 rows, u32 vectors, u32 vocabulary) {
    const u32 index = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 row = index / vectors, column = index % vectors;
    if (row >= total_rows) {
        return;
    }
    const u32 id = ids[row];
    if (id >= vocabulary) {
        __trap();
    }
    float token[8], position[8];
    unpack_half8(tokens[static_cast<u64>(id) * vectors + column], token);
    unpack_half8(positions[(row % rows) * vectors + column], position);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        token[i] += position[i];
    }
    output[index] = pack_half8(token);
}
