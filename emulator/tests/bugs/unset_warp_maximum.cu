// The maxima of two warps are combined as if there were four.
// launch: block 64
// arguments: in 256, fresh 256
// expect: initialised line 15 block 0 other 15 says shared memory
extern "C" __global__ void wrong(const float *in, float *out) {
    __shared__ float maxima[4];
    float value = in[threadIdx.x];
    for (int offset = 16; offset > 0; offset /= 2)
        value = fmaxf(value, __shfl_xor_sync(~0u, value, offset));
    if (threadIdx.x % 32 == 0)
        maxima[threadIdx.x / 32] = value;
    __syncthreads();
    float most = maxima[0];
    for (int warp = 1; warp < 4; warp++)
        most = fmaxf(most, maxima[warp]);
    out[threadIdx.x] = in[threadIdx.x] - most;
}

extern "C" __global__ void right(const float *in, float *out) {
    __shared__ float maxima[4];
    float value = in[threadIdx.x];
    for (int offset = 16; offset > 0; offset /= 2)
        value = fmaxf(value, __shfl_xor_sync(~0u, value, offset));
    if (threadIdx.x % 32 == 0)
        maxima[threadIdx.x / 32] = value;
    __syncthreads();
    float most = maxima[0];
    for (int warp = 1; warp < blockDim.x / 32; warp++)
        most = fmaxf(most, maxima[warp]);
    out[threadIdx.x] = in[threadIdx.x] - most;
}
