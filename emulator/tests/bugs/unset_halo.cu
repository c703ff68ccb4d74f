// The tile of a stencil has a halo that the outer blocks do not fill.
// launch: grid 2 block 64
// arguments: in 512, fresh 512
// expect: initialised line 15 block 0 thread 0 other 15 says byte 0 of the shared memory
// expect: initialised line 15 block 1 thread 63 other 15 says byte 260 of the shared memory
extern "C" __global__ void wrong(const float *in, float *out) {
    __shared__ float tile[66];
    unsigned i = blockIdx.x * 64 + threadIdx.x;
    tile[threadIdx.x + 1] = in[i];
    if (threadIdx.x == 0 && blockIdx.x > 0)
        tile[0] = in[i - 1];
    if (threadIdx.x == 63 && blockIdx.x + 1 < gridDim.x)
        tile[65] = in[i + 1];
    __syncthreads();
    out[i] = tile[threadIdx.x] + tile[threadIdx.x + 1] + tile[threadIdx.x + 2];
}

extern "C" __global__ void right(const float *in, float *out) {
    __shared__ float tile[66];
    unsigned i = blockIdx.x * 64 + threadIdx.x;
    tile[threadIdx.x + 1] = in[i];
    if (threadIdx.x == 0)
        tile[0] = blockIdx.x > 0 ? in[i - 1] : 0.0f;
    if (threadIdx.x == 63)
        tile[65] = blockIdx.x + 1 < gridDim.x ? in[i + 1] : 0.0f;
    __syncthreads();
    out[i] = tile[threadIdx.x] + tile[threadIdx.x + 1] + tile[threadIdx.x + 2];
}
