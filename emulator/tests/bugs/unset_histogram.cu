// Bins of a histogram are counted up without having been cleared.
// launch: block 64
// arguments: in 256, fresh 256
// expect: initialised line 6 block 0 thread 0 other 6 says changed by an atomic operation
extern "C" __global__ void wrong(const unsigned *in, unsigned *bins) {
    atomicAdd(bins + in[threadIdx.x], 1u);
}

extern "C" __global__ void right(const unsigned *in, unsigned *bins) {
    bins[threadIdx.x] = 0;
    __syncthreads();
    atomicAdd(bins + in[threadIdx.x], 1u);
}
