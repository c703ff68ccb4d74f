// A sum over the grid adds partial results that some blocks never stored.
// launch: grid 4 block 32
// arguments: fresh 16, zero 4
// expect: initialised line 10 block 2 thread 0 other 10 says operand of an atomic operation
__device__ void add(float *partial, float *sum, unsigned filled) {
    if (blockIdx.x < filled)
        partial[blockIdx.x] = 1.0f;
    __syncthreads();
    if (threadIdx.x == 0)
        atomicAdd(sum, ((volatile float *)partial)[blockIdx.x]);
}

extern "C" __global__ void wrong(float *partial, float *sum) {
    if (threadIdx.x == 0)
        add(partial, sum, 2);
}

extern "C" __global__ void right(float *partial, float *sum) {
    if (threadIdx.x == 0)
        add(partial, sum, 4);
}
