// A sum is added to an output that nobody cleared.
// launch: grid 2 block 64
// arguments: in 512, fresh 512
// expect: initialised line 7 block 0 thread 0 other 7 says byte 0 of the allocation of 512 bytes
extern "C" __global__ void wrong(const int *in, int *sum) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    sum[i] += 3 * in[i];
}

extern "C" __global__ void right(const int *in, int *sum) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    sum[i] = 3 * in[i];
}
