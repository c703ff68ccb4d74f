// One thread computes what all the others read, without a barrier.
// launch: block 64
// arguments: in 256, zero 256
// checks: races
// expect: races line 9 block 0 thread 0 other 12 says shared memory: a write after a read by another lane
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int scale;
    if (threadIdx.x == 0)
        scale = in[5];
    if (ordered)
        __syncthreads();
    out[threadIdx.x] = in[threadIdx.x] * scale;
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
