// A tree in shared memory sums over the whole block, but only as many slots were filled as there are elements.
// launch: block 128
// arguments: in 400, fresh 4, u32 100
// expect: initialised line 12 block 0 thread 36 other 12 says shared memory
extern "C" __global__ void wrong(const int *in, int *out, unsigned count) {
    __shared__ int partial[128];
    if (threadIdx.x < count)
        partial[threadIdx.x] = in[threadIdx.x];
    __syncthreads();
    for (unsigned stride = 64; stride > 0; stride /= 2) {
        if (threadIdx.x < stride)
            partial[threadIdx.x] += partial[threadIdx.x + stride];
        __syncthreads();
    }
    if (threadIdx.x == 0)
        *out = partial[0];
}

extern "C" __global__ void right(const int *in, int *out, unsigned count) {
    __shared__ int partial[128];
    partial[threadIdx.x] = threadIdx.x < count ? in[threadIdx.x] : 0;
    __syncthreads();
    for (unsigned stride = 64; stride > 0; stride /= 2) {
        if (threadIdx.x < stride)
            partial[threadIdx.x] += partial[threadIdx.x + stride];
        __syncthreads();
    }
    if (threadIdx.x == 0)
        *out = partial[0];
}
