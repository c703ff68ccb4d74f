// Reductions over the 32 lanes of a warp, by butterfly: every lane gets the same bits.
#ifndef WARP_CUH
#define WARP_CUH

#define WARP_SIZE 32u
#define FULL_WARP 0xFFFFFFFFu

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(FULL_WARP, value, distance);
    }
    return value;
}

__device__ __forceinline__ float warp_min(float value) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
        value = fminf(value, __shfl_xor_sync(FULL_WARP, value, distance));
    }
    return value;
}

__device__ __forceinline__ float warp_max(float value) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
        value = fmaxf(value, __shfl_xor_sync(FULL_WARP, value, distance));
    }
    return value;
}

#endif
