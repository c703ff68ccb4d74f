// Blocks count into global bins without atomics.
// launch: grid 2 block 32
// arguments: in 256, zero 128
// checks: races
// expect: races line 11 block 1 thread 0 other 11 says global memory: a read after a write by another block
template <bool ordered> __device__ void body(const int *in, int *out) {
    unsigned i = threadIdx.x, value = in[32 * blockIdx.x + i];
    if (ordered)
        atomicAdd(&out[value % 32], 1);
    else
        out[value % 32] += 1;
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
