// Latent pixels: four channels, 16 bytes in fp32 or 8 in fp16. The networks read them padded to eight channels of
// fp16, which makes a pixel one 16-byte vector.
#ifndef LATENTS_CUH
#define LATENTS_CUH

#include "fp16.cuh"

// Four fp16 numbers.
struct __align__(8) half4 {
    u32 bits[2];
};

__device__ __forceinline__ float4 to_float4(float4 pixel) {
    return pixel;
}

__device__ __forceinline__ float4 to_float4(half4 pixel) {
    const float2 low = unpack_half2(pixel.bits[0]);
    const float2 high = unpack_half2(pixel.bits[1]);
    return make_float4(low.x, low.y, high.x, high.y);
}

// A network's input: four channels, then four zeros.
__device__ __forceinline__ half8 padded(float4 pixel) {
    return half8{{pack_half2(pixel.x, pixel.y), pack_half2(pixel.z, pixel.w), 0, 0}};
}

// scale * pixel + addend, each channel.
__device__ __forceinline__ float4 multiply_add(float scale, float4 pixel, float4 addend) {
    return make_float4(fmaf(scale, pixel.x, addend.x), fmaf(scale, pixel.y, addend.y), fmaf(scale, pixel.z, addend.z),
                       fmaf(scale, pixel.w, addend.w));
}

__device__ __forceinline__ float4 multiply(float scale, float4 pixel) {
    return make_float4(scale * pixel.x, scale * pixel.y, scale * pixel.z, scale * pixel.w);
}

__device__ __forceinline__ float4 subtract(float4 a, float4 b) {
    return make_float4(a.x - b.x, a.y - b.y, a.z - b.z, a.w - b.w);
}

// Classifier-free guidance: unconditional + guidance * (conditional - unconditional).
__device__ __forceinline__ float4 guide(float4 unconditional, float4 conditional, float guidance) {
    return multiply_add(guidance, subtract(conditional, unconditional), unconditional);
}

#endif
