// fp16 storage types and conversions, without CUDA's headers: NVRTC finds none on most machines.
// Arithmetic is fp32 throughout; fp16 is how tensors are stored.
#ifndef FP16_CUH
#define FP16_CUH

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

// One fp16 number, as its bits.
struct half {
    u16 bits;
};

// Two fp16 numbers in a register: the lower 16 bits come first in memory.
struct half2 {
    u32 bits;
};

// Eight fp16 numbers: the unit of global memory traffic.
struct __align__(16) half8 {
    u32 bits[4];
};

__device__ __forceinline__ float to_float(half h) {
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h.bits));
    return f;
}

// Rounds to nearest even.
__device__ __forceinline__ half to_half(float f) {
    half h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.bits) : "f"(f));
    return h;
}

// Packs (low, high), each rounded to nearest even.
__device__ __forceinline__ u32 pack_half2(float low, float high) {
    u32 bits;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
    return bits;
}

__device__ __forceinline__ float2 unpack_half2(u32 bits) {
    float2 f;
    asm("{.reg .b16 lo, hi;\n"
        " mov.b32 {lo, hi}, %2;\n"
        " cvt.f32.f16 %0, lo;\n"
        " cvt.f32.f16 %1, hi;}"
        : "=f"(f.x), "=f"(f.y)
        : "r"(bits));
    return f;
}

__device__ __forceinline__ void unpack_half8(const half8& h, float (&f)[8]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const float2 pair = unpack_half2(h.bits[i]);
        f[2 * i] = pair.x;
        f[2 * i + 1] = pair.y;
    }
}

__device__ __forceinline__ half8 pack_half8(const float (&f)[8]) {
    half8 h;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        h.bits[i] = pack_half2(f[2 * i], f[2 * i + 1]);
    }
    return h;
}

#endif
