// Sinusoidal embedding of timesteps, as diffusers' get_timestep_embedding.
//
//   f[i] = exp(-ln(10000) * i / (D / 2 - shift)),  i < D / 2
//   y[s, :] = [sin(t[s] f), cos(t[s] f)], or [cos(t[s] f), sin(t[s] f)] where COSINES_FIRST (flip_sin_to_cos)
//
// Tensors: t (S) fp32 where TIMESTEPS_F32, else i32; y (S, D) fp16.
// Grid ceil(S * D / 2 / 256), block 256, one frequency of one step a thread; no shared memory.
// Numeric policy: fp32, as diffusers. The argument is folded into [-pi, pi] by 2 pi in two parts, exactly to 1e-7 for
//          |t| < 10^4, and the hardware's sine and cosine are good to 4e-7 there; fp16 rounds by 2.4e-4.
// Constraints: D even.
#include "fp16.cuh"

#ifndef TIMESTEPS_F32
#define TIMESTEPS_F32 0
#endif
#ifndef COSINES_FIRST
#define COSINES_FIRST 1
#endif

#if TIMESTEPS_F32
typedef float Timestep;
#else
typedef int Timestep;
#endif

#define LN_MAX_PERIOD 9.210340371976184f
#define TWO_PI_HIGH 6.2831855f
#define TWO_PI_LOW -1.7484556e-7f
#define ONE_OVER_TWO_PI 0.15915494f

// The angle less the nearest multiple of 2 pi. The products with TWO_PI_HIGH are exact inside the fused operation.
__device__ __forceinline__ float fold(float angle) {
    const float turns = rintf(angle * ONE_OVER_TWO_PI);
    return fmaf(-turns, TWO_PI_LOW, fmaf(-turns, TWO_PI_HIGH, angle));
}

extern "C" __global__ void time_embedding(const Timestep* __restrict__ timesteps, half* __restrict__ output, u32 steps,
                                          u32 frequencies, float shift) {
    const u32 index = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 step = index / frequencies, i = index % frequencies;
    if (step >= steps) {
        return;
    }
    const float frequency = expf(-LN_MAX_PERIOD * i / (frequencies - shift));
    const float angle = fold(static_cast<float>(timesteps[step]) * frequency);
    const half sine = to_half(__sinf(angle)), cosine = to_half(__cosf(angle));
    half* const row = output + 2 * static_cast<u64>(step) * frequencies;
    row[i] = COSINES_FIRST ? cosine : sine;
    row[frequencies + i] = COSINES_FIRST ? sine : cosine;
}
