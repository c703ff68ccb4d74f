// The bins are read while other warps may still count.
// launch: block 64
// arguments: in 256, zero 64
// checks: races
// expect: races line 16 block 0 thread 48 other 12 says shared memory: a read after an atomic by another lane
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int bins[16];
    unsigned i = threadIdx.x;
    if (i < 16)
        bins[i] = 0;
    __syncthreads();
    atomicAdd(&bins[(in[i] + 5) % 16], 1);
    if (ordered)
        __syncthreads();
    if (i >= 48)
        out[i - 48] = bins[i - 48];
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
