// The last levels of a tree by one warp that counts on its lanes to run in step.
// arguments: in 128, zero 4
// checks: races
// expect: races line 11 block 0 thread 0 other 13 says shared memory: a read after a write by another lane
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int sums[32];
    unsigned i = threadIdx.x;
    sums[i] = in[i];
    __syncwarp();
    for (unsigned width = 16; width > 0; width /= 2) {
        int other = sums[(i + width) % 32];
        __syncwarp();
        sums[i] += other;
        if (ordered)
            __syncwarp();
    }
    if (i == 0)
        *out = sums[0];
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
