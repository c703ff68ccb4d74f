// A scan that reads and writes one array in a step.
// launch: block 64
// arguments: in 256, zero 256
// checks: races
// expect: races line 15 block 0 thread 0 other 12 says shared memory: a write after a read by another lane
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int values[64];
    unsigned i = threadIdx.x;
    values[i] = in[i];
    __syncthreads();
    for (unsigned step = 1; step < 64; step *= 2) {
        int other = i >= step ? values[i - step] : 0;
        if (ordered)
            __syncthreads();
        values[i] += other;
        __syncthreads();
    }
    out[i] = values[i];
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
