// The next value is broadcast before all have read the last.
// launch: block 64
// arguments: in 256, zero 256
// checks: races
// expect: races line 11 block 0 thread 63 other 13 says shared memory: a write after a read by another lane
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int scale;
    int sum = 0;
    for (unsigned step = 0; step < 4; ++step) {
        if (threadIdx.x == 63)
            scale = in[step];
        __syncthreads();
        sum += scale;
        if (ordered)
            __syncthreads();
    }
    out[threadIdx.x] = sum;
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
