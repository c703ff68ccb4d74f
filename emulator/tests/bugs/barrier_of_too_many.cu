// A named barrier of two warps says that it waits for three.
// launch: block 64
// arguments: fresh 256
// expect: barriers line 6 block 0 says expects 96 threads
__device__ void meet(unsigned threads) {
    asm volatile("bar.sync 1, %0;" ::"r"(threads) : "memory");
}

extern "C" __global__ void wrong(int *out) {
    __shared__ int values[64];
    values[threadIdx.x] = threadIdx.x;
    meet(96);
    out[threadIdx.x] = values[threadIdx.x ^ 32];
}

extern "C" __global__ void right(int *out) {
    __shared__ int values[64];
    values[threadIdx.x] = threadIdx.x;
    meet(64);
    out[threadIdx.x] = values[threadIdx.x ^ 32];
}
