// A tree in shared memory whose levels are not kept apart.
// launch: block 128
// arguments: in 512, zero 4
// checks: races
// expect: races line 13 block 0 thread 0 other 13 says shared memory: a read after a write by another lane
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int sums[128];
    unsigned i = threadIdx.x;
    sums[i] = in[i];
    __syncthreads();
    for (unsigned width = 64; width > 0; width /= 2) {
        if (i < width)
            sums[i] += sums[i + width];
        if (ordered)
            __syncthreads();
    }
    if (i == 0)
        *out = sums[0];
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
