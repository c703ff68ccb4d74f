// One denoising (or inversion) step: guidance, the deterministic DDIM update, and the blend with the noised original.
//
//   eps = predictions[0] + guidance * (predictions[1] - predictions[0]), or predictions[0] where PROMPTS = 1
//   x'  = c_x * x + c_eps * eps
//   x   = mask * x' + (1 - mask) * (signal * original + sigma * noise[i]), or x' without a mask
//
// with i the step that the device counter holds and (c_x, c_eps, signal, sigma) = coefficients[i]. The last step reads
// no noise: its background is the clean original, signal 1 and sigma 0. (DDIM: arXiv 2010.02502, eq. 12 with sigma 0;
// the blend: arXiv 2210.11427, section 3.2.)
//
// Tensors: predictions (PROMPTS, P, 4), fp32 where PREDICTIONS_F32, else fp16; x (P, 4) fp32, updated; original (P, 4)
//          fp32; mask (P), fp32 where MASK_F32, else u8 0 or 1; noise (S - 1, P, 4), fp32 where NOISE_F32, else fp16;
//          original, mask and noise null together; coefficients (S, 4) fp32; counter (1) i32; next (PROMPTS, P, 8)
//          fp16, the network's next input, x in channels 0..4 and zeros in 4..8; history (S, P, 4) fp32 or null, x
//          after step i in row i, or in row S - 1 - i where `reversed`.
//   step: grid ceil(P / 256), block 256, one pixel a thread; no shared memory.
//   advance: one thread; adds 1 to the counter, after every block of `step` has read it.
// Numeric policy: fp32. A counter beyond the table traps.
#include "latents.cuh"

#ifndef PROMPTS
#define PROMPTS 2
#endif
#ifndef PREDICTIONS_F32
#define PREDICTIONS_F32 0
#endif
#ifndef MASK_F32
#define MASK_F32 0
#endif
#ifndef NOISE_F32
#define NOISE_F32 0
#endif

#if PREDICTIONS_F32
typedef float4 Prediction;
#else
typedef half4 Prediction;
#endif
#if MASK_F32
typedef float Mask;
#else
typedef u8 Mask;
#endif
#if NOISE_F32
typedef float4 Noise;
#else
typedef half4 Noise;
#endif

extern "C" __global__ void step(const Prediction* __restrict__ predictions, float4* __restrict__ latents,
                                const float4* __restrict__ original, const Mask* __restrict__ mask,
                                const Noise* __restrict__ noise, const float4* __restrict__ coefficients,
                                const int* __restrict__ counter, half8* __restrict__ next,
                                float4* __restrict__ history, u32 pixels, u32 steps, u32 reversed, float guidance) {
    const u32 pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= pixels) {
        return;
    }
    const u32 index = *counter;
    if (index >= steps) {
        __trap();
    }
    float4 prediction = to_float4(predictions[pixel]);
#if PROMPTS == 2
    prediction = guide(prediction, to_float4(predictions[pixels + pixel]), guidance);
#endif
    const float4 coefficient = coefficients[index]; // c_x, c_eps, signal, sigma
    float4 x = multiply_add(coefficient.y, prediction, multiply(coefficient.x, latents[pixel]));
    if (mask != nullptr) {
        float4 background = multiply(coefficient.z, original[pixel]);
        if (index + 1 < steps) {
            const float4 z = to_float4(noise[static_cast<u64>(index) * pixels + pixel]);
            background = multiply_add(coefficient.w, z, background);
        }
        const float edited = mask[pixel];
        x = multiply_add(edited, x, multiply(1.0f - edited, background));
    }
    latents[pixel] = x;
    if (history != nullptr) {
        const u64 row = reversed ? steps - 1 - index : index;
        history[row * pixels + pixel] = x;
    }
#pragma unroll
    for (u32 prompt = 0; prompt < PROMPTS; ++prompt) {
        next[prompt * pixels + pixel] = padded(x);
    }
}

extern "C" __global__ void advance(int* counter) {
    *counter += 1;
}
