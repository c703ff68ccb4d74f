// A block clears the sum to which others already add.
// launch: grid 4 block 32
// arguments: in 512, zero 4
// checks: races
// expect: races line 8 block 3 thread 0 other 9 says global memory: a write after an atomic by another block
template <bool ordered> __device__ void body(const int *in, int *out) {
    if (!ordered && blockIdx.x == 3 && threadIdx.x == 0)
        *out = 0;
    atomicAdd(out, in[32 * blockIdx.x + threadIdx.x]);
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
