// A barrier counts the threads that have work, not the warps that they are in.
// launch: block 64
// arguments: fresh 256, u32 48
// expect: barriers line 6 block 0 says barrier of 48 threads, not whole warps
__device__ void meet(unsigned threads) {
    asm volatile("bar.sync 1, %0;" ::"r"(threads) : "memory");
}

extern "C" __global__ void wrong(int *out, unsigned count) {
    __shared__ int values[64];
    values[threadIdx.x] = threadIdx.x;
    meet(count);
    out[threadIdx.x] = values[threadIdx.x ^ 32];
}

extern "C" __global__ void right(int *out, unsigned count) {
    __shared__ int values[64];
    values[threadIdx.x] = threadIdx.x;
    meet((count + 31) / 32 * 32);
    out[threadIdx.x] = values[threadIdx.x ^ 32];
}
