// Every second lane of a warp passes by the barrier.
// launch: block 64
// arguments: fresh 256, zero 4
// expect: barriers line 10 block 0 says divergent barrier
extern "C" __global__ void wrong(int *out, int *sum) {
    __shared__ int values[64];
    values[threadIdx.x] = threadIdx.x;
    int value = 1;
    if (threadIdx.x % 2 == 0) {
        __syncthreads();
        value = values[threadIdx.x ^ 32];
    }
    out[threadIdx.x] = value;
    atomicAdd(sum, value);
}

extern "C" __global__ void right(int *out, int *sum) {
    __shared__ int values[64];
    values[threadIdx.x] = threadIdx.x;
    int value = 1;
    __syncthreads();
    if (threadIdx.x % 2 == 0)
        value = values[threadIdx.x ^ 32];
    out[threadIdx.x] = value;
    atomicAdd(sum, value);
}
