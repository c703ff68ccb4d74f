// Work of warps: shuffles of all types, votes, matches, tiles, divergence of every shape, early exits beside barriers.

#include <cuda_fp16.h>

template <typename T>
__device__ void shuffled(const T* input, T* output) {
    int lane = threadIdx.x % 32;
    T value = input[threadIdx.x];
    output[threadIdx.x] = __shfl_sync(~0u, value, (lane * 7 + 3) % 32);
    output[64 + threadIdx.x] = __shfl_up_sync(~0u, value, 5);
    output[128 + threadIdx.x] = __shfl_down_sync(~0u, value, 3, 16);
    output[192 + threadIdx.x] = __shfl_xor_sync(~0u, value, 9, 8);
}

extern "C" __global__ void shuffle_i32(const int* in, int* out) { shuffled(in, out); }
extern "C" __global__ void shuffle_u64(const unsigned long long* in, unsigned long long* out) { shuffled(in, out); }
extern "C" __global__ void shuffle_f32(const float* in, float* out) { shuffled(in, out); }
extern "C" __global__ void shuffle_f64(const double* in, double* out) { shuffled(in, out); }
extern "C" __global__ void shuffle_half2(const __half2* in, __half2* out) { shuffled(in, out); }

extern "C" __global__ void votes(const int* input, unsigned* output) {
    int value = input[threadIdx.x];
    unsigned all = __all_sync(~0u, value > 0), any = __any_sync(~0u, value > 90), ballot = __ballot_sync(~0u, value & 1);
    unsigned same = __match_any_sync(~0u, value % 5);
    int agreed;
    unsigned everyone = __match_all_sync(~0u, value / 1000, &agreed);
    unsigned long long wide = __match_any_sync(~0u, (unsigned long long)(value % 3) << 40);
    unsigned* out = output + threadIdx.x * 8;
    out[0] = all, out[1] = any, out[2] = ballot, out[3] = same, out[4] = everyone, out[5] = agreed, out[6] = wide;
    // Only the odd lanes, by a mask of their own.
    out[7] = 0;
    if (threadIdx.x & 1) out[7] = __ballot_sync(0xaaaaaaaa, value & 2) ^ __shfl_xor_sync(0xaaaaaaaa, value, 2);
}

// Sums of tiles of four, each with its own mask, at different times.
extern "C" __global__ void tiles(const int* input, int* output) {
    int lane = threadIdx.x % 32, value = input[threadIdx.x];
    unsigned mask = 0xfu << (lane & 28);
    for (int i = 0; i < lane / 4; i++) {
        value += __shfl_xor_sync(mask, value, 1);
        value += __shfl_xor_sync(mask, value, 2) >> 1;
        __syncwarp(mask);
    }
    output[threadIdx.x] = value;
}

// The warp's lanes take a counter once for all.
__device__ unsigned take(unsigned* counter) {
    unsigned active = __activemask();
    int lane = threadIdx.x % 32, leader = __ffs(active) - 1;
    unsigned start;
    if (lane == leader) start = atomicAdd(counter, __popc(active));
    start = __shfl_sync(active, start, leader);
    return start + __popc(active & ((1u << lane) - 1));
}

extern "C" __global__ void filter(const int* input, int* output, unsigned* counter, int count) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
        if (input[i] % 7 < 3) output[take(counter)] = input[i];
}

// Every lane by itself through nested branches and loops with breaks and continues.
extern "C" __global__ void nested(const int* input, int* output) {
    int n = input[threadIdx.x], sum = 0;
    for (int i = 0; i < n; i++) {
        if (i % 3 == 0) {
            if (n & 1) continue;
            sum += 5;
        } else if (i % 7 == 5) {
            for (int j = i; j > 0; j /= 2) {
                sum ^= j;
                if (sum > 200) break;
                if (j == 9) goto out;
            }
        } else {
            switch ((n + i) & 7) {
                case 0: sum += 1;
                case 1: sum += 2; break;
                case 3: sum = sum * 3 & 1023; break;
                case 6: do sum -= 7; while (sum > 50);
                default: sum += n;
            }
        }
        if (sum > 900) break;
    }
out:
    output[threadIdx.x] = sum;
}

// Threads leave before a barrier in a loop, as long as their whole warp does; others wait for those that stay.
extern "C" __global__ void leaving(int* output) {
    __shared__ int total;
    if (threadIdx.x == 0) total = 0;
    __syncthreads();
    int warp = threadIdx.x / 32;
    for (int round = 0; round < 4; round++) {
        if (warp > 0 && round == warp) return;
        if (round & 1 ? threadIdx.x % 2 : threadIdx.x % 3 == 0) atomicAdd(&total, 1);
        __syncthreads();
        if (threadIdx.x == 0) output[round] = total;
        __syncthreads();
    }
}

// Early exits of single lanes; the others still shuffle, vote and wait.
extern "C" __global__ void survivors(const int* input, int* output, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    int value = input[i];
    if (value < 0) {
        output[i] = -1;
        return;
    }
    __syncthreads();
    unsigned alive = __activemask();
    output[i] = __popc(__ballot_sync(alive, value > 10)) * 100 + __popc(alive);
}
