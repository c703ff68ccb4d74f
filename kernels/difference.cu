// How much the noise predicted for one prompt differs from that for the other, summed over noise maps.
//
//   d[m, p, c]   = |first[m, p, c] - second[m, p, c]|
//   sum[p, c]   += d[m, p, c] over the maps m, in order
//   means[m, p]  = mean over c of d[m, p, c]
//   guided[0]   += weight * (unconditional[m] + guidance * (first[m] - unconditional[m])) over m, in order
//   guided[1]   += the same of the second
//
// Guidance would only scale the difference: the unconditional prediction cancels in it. So a map takes two predictions,
// and three only where the guided predictions are to be shown.
//
// Tensors: predictions (M * PROMPTS, P, 4), fp32 where PREDICTIONS_F32, else fp16, a map's predictions side by side:
//          first, second, or with PROMPTS = 3 unconditional, first, second; sum (P, 4) fp32; means (M, P) fp32 or
//          null; guided (2, P, 4) fp32, used with PROMPTS = 3.
//          Where `start`, sum and guided start from zero, else from what they hold.
// Grid ceil(P / 256), block 256, one pixel a thread; no shared memory.
// Numeric policy: fp32, maps in their order: cutting them into several launches gives the same bits.
#include "latents.cuh"

#ifndef PREDICTIONS_F32
#define PREDICTIONS_F32 0
#endif
#ifndef PROMPTS
#define PROMPTS 2
#endif

#if PREDICTIONS_F32
typedef float4 Prediction;
#else
typedef half4 Prediction;
#endif

extern "C" __global__ void difference(const Prediction* __restrict__ predictions, float4* __restrict__ sum,
                                      float* __restrict__ means, float4* __restrict__ guided, u32 pixels, u32 maps,
                                      u32 start, float guidance, float weight) {
    const u32 pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= pixels) {
        return;
    }
    const float4 zero = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    float4 total = start ? zero : sum[pixel];
#if PROMPTS == 3
    float4 guided_first = start ? zero : guided[pixel];
    float4 guided_second = start ? zero : guided[pixels + pixel];
#endif
    for (u32 map = 0; map < maps; ++map) {
        const Prediction* const last = predictions + (static_cast<u64>(map) * PROMPTS + PROMPTS - 1) * pixels + pixel;
        const float4 second = to_float4(last[0]);
        const float4 first = to_float4(*(last - pixels));
        const float4 change = subtract(first, second);
        const float4 size = make_float4(fabsf(change.x), fabsf(change.y), fabsf(change.z), fabsf(change.w));
        total = multiply_add(1.0f, size, total);
        if (means != nullptr) {
            means[static_cast<u64>(map) * pixels + pixel] = 0.25f * ((size.x + size.y) + (size.z + size.w));
        }
#if PROMPTS == 3
        const float4 unconditional = to_float4(*(last - 2 * static_cast<u64>(pixels)));
        guided_first = multiply_add(weight, guide(unconditional, first, guidance), guided_first);
        guided_second = multiply_add(weight, guide(unconditional, second, guidance), guided_second);
#endif
    }
    sum[pixel] = total;
#if PROMPTS == 3
    guided[pixel] = guided_first;
    guided[pixels + pixel] = guided_second;
#endif
}
