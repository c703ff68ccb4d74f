// A histogram has a bin for every value but the largest.
// launch: grid 2 block 128
// arguments: in 1024, zero 1020
// expect: memory line 7 block 1 thread 127 says 0 bytes past the end of the allocation of 1020 bytes
extern "C" __global__ void wrong(const unsigned *in, unsigned *bins) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(bins + in[i], 1u);
}

extern "C" __global__ void right(const unsigned *in, unsigned *bins) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (in[i] < 255)
        atomicAdd(bins + in[i], 1u);
}
