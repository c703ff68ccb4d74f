// The warps of a block exchange values through global memory without a barrier.
// launch: block 64
// arguments: in 256, zero 256, zero 256
// checks: races
// expect: races line 8 block 0 thread 32 other 11 says global memory: a write after a read by another warp
template <bool ordered> __device__ void body(const int *in, int *scratch, int *out) {
    unsigned i = threadIdx.x;
    scratch[i] = 2 * in[i];
    if (ordered)
        __syncthreads();
    out[i] = scratch[63 - i];
}

extern "C" __global__ void wrong(const int *in, int *scratch, int *out) { body<false>(in, scratch, out); }

extern "C" __global__ void right(const int *in, int *scratch, int *out) { body<true>(in, scratch, out); }
