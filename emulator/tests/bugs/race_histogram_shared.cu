// Threads count into shared bins without atomics.
// launch: block 64
// arguments: in 256, zero 64
// checks: races
// expect: races line 15 block 0 thread 0 other 15 says shared memory: a write after a read by another lane
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int bins[16];
    unsigned i = threadIdx.x;
    if (i < 16)
        bins[i] = 0;
    __syncthreads();
    if (ordered)
        atomicAdd(&bins[in[i] % 16], 1);
    else
        bins[in[i] % 16] += 1;
    __syncthreads();
    if (i < 16)
        out[i] = bins[i];
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
