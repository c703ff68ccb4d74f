// How much the noise predicted for the target prompt differs from that for the source prompt, summed over noise maps.
//
//   sum[p, c]   += |target[m, p, c] - source[m, p, c]| over the maps m, in order
//   means[m, p]  = mean over c of |target[m, p, c] - source[m, p, c]|
//   guided[0]   += weight * (unconditional[m] + guidance * (source[m] - unconditional[m])) over m, in order
//   guided[1]   += the same of the target
//
// Guidance would only scale the difference: the unconditional prediction cancels in it. So a map takes two predictions,
// and three only where the guided predictions are to be shown.
//
// Tensors: predictions (M * PROMPTS, P, 4), fp32 where PREDICTIONS_F32, else fp16, a map's predictions side by side:
//          source, target, or with PROMPTS = 3 unconditional, source, target; sum (P, 4) fp32; means (M, P) fp32 or
//          null; guided (2, P, 4) fp32, used with PROMPTS = 3.
//          Where `first`, sum and guided start from zero, else from what they hold.
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
                                      u32 first, float guidance, float weight) {
    const u32 pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= pixels) {
        return;
    }
    const float4 zero = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    float4 total = first ? zero : sum[pixel];
#if PROMPTS == 3
    float4 guided_source = first ? zero : guided[pixel];
    float4 guided_target = first ? zero : guided[pixels + pixel];
#endif
    for (u32 map = 0; map < maps; ++map) {
        const Prediction* const last = predictions + (static_cast<u64>(map) * PROMPTS + PROMPTS - 1) * pixels + pixel;
        const float4 target = to_float4(last[0]);
        const float4 source = to_float4(*(last - pixels));
        const float4 change = subtract(target, source);
        const float4 size = make_float4(fabsf(change.x), fabsf(change.y), fabsf(change.z), fabsf(change.w));
        total = multiply_add(1.0f, size, total);
        if (means != nullptr) {
            means[static_cast<u64>(map) * pixels + pixel] = 0.25f * ((size.x + size.y) + (size.z + size.w));
        }
#if PROMPTS == 3
        const float4 unconditional = to_float4(*(last - 2 * static_cast<u64>(pixels)));
        guided_source = multiply_add(weight, guide(unconditional, source, guidance), guided_source);
        guided_target = multiply_add(weight, guide(unconditional, target, guidance), guided_target);
#endif
    }
    sum[pixel] = total;
#if PROMPTS == 3
    guided[pixel] = guided_source;
    guided[pixels + pixel] = guided_target;
#endif
}
