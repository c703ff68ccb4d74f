// Atomics of all types and operations, in global and shared memory, through generic pointers.

#include <cuda_fp16.h>

template <typename T>
__device__ void integers(const T* input, T* results) {
    __shared__ T local[8];
    if (threadIdx.x < 8) local[threadIdx.x] = results[threadIdx.x];
    __syncthreads();
    T value = input[threadIdx.x];
    // Half of the threads on global memory, half on shared, through one pointer.
    T* target = threadIdx.x & 1 ? local : results + 8;
    atomicAdd(target + 0, value);
    atomicMin(target + 1, value);
    atomicMax(target + 2, value);
    atomicAnd(target + 3, value);
    atomicOr(target + 4, value);
    atomicXor(target + 5, value);
    __syncthreads();
    if (threadIdx.x < 8) results[threadIdx.x] = local[threadIdx.x];
}

extern "C" __global__ void fold_i32(const int* in, int* out) { integers(in, out); }
extern "C" __global__ void fold_u32(const unsigned* in, unsigned* out) { integers(in, out); }
extern "C" __global__ void fold_u64(const unsigned long long* in, unsigned long long* out) { integers(in, out); }

extern "C" __global__ void fold_i64(const long long* input, long long* results) {
    atomicAdd((unsigned long long*)results, (unsigned long long)input[threadIdx.x]);
    atomicMin(results + 1, input[threadIdx.x]);
    atomicMax(results + 2, input[threadIdx.x]);
}

// Tickets: what atomics return is all different; wrap-around of inc and dec.
extern "C" __global__ void tickets(unsigned* counters, unsigned* output) {
    output[threadIdx.x] = atomicInc(&counters[0], 9);
    output[64 + threadIdx.x] = atomicDec(&counters[1], 12);
    output[128 + threadIdx.x] = atomicExch(&counters[2], threadIdx.x);
    output[192 + threadIdx.x] = atomicAdd(&counters[3], 3);
}

extern "C" __global__ void floats(const float* input, float* sums, double* wide, __half2* pairs, __half* halves) {
    atomicAdd(sums, input[threadIdx.x]);
    atomicAdd(wide, (double)input[threadIdx.x]);
    atomicAdd(pairs, __floats2half2_rn(input[threadIdx.x], 1.0f));
    atomicAdd(halves, __float2half(0.5f));
}

// CAS of 16, 32 and 64 bits.
extern "C" __global__ void compare_and_swap(unsigned short* small, unsigned* word, unsigned long long* wide) {
    unsigned short seen = *(volatile unsigned short*)&small[1], before;
    do {
        before = seen;
        seen = atomicCAS(&small[1], before, (unsigned short)(before + 3));
    } while (seen != before);
    unsigned old = *(volatile unsigned*)word, assumed;
    do {
        assumed = old;
        old = atomicCAS(word, assumed, assumed * 3 + 1);
    } while (old != assumed);
    unsigned long long o = *(volatile unsigned long long*)wide, a;
    do {
        a = o;
        o = atomicCAS(wide, a, a + 0x100000001ull);
    } while (o != a);
}

// Scopes, and the spellings of inline assembly.
extern "C" __global__ void scoped(unsigned* counters) {
    atomicAdd_block(&counters[0], 1);
    atomicAdd_system(&counters[1], 2);
    unsigned old;
    asm volatile("atom.global.acq_rel.gpu.add.u32 %0, [%1], %2;" : "=r"(old) : "l"(&counters[2]), "r"(3) : "memory");
    asm volatile("red.global.release.gpu.add.u32 [%0], %1;" ::"l"(&counters[3]), "r"(4) : "memory");
    asm volatile("red.relaxed.cta.global.max.u32 [%0], %1;" ::"l"(&counters[4]), "r"(threadIdx.x) : "memory");
}
