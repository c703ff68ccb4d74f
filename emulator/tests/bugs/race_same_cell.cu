// Every block writes its own result to one place. Flags that are all set to 1 are let pass.
// launch: grid 4 block 32
// arguments: in 128, zero 8
// checks: races
// expect: races line 12 block 1 thread 0 other 12 says global memory: a write after a write by another block
template <bool ordered> __device__ void body(const int *in, int *out) {
    if (threadIdx.x == 0) {
        out[1] = 1;
        if (ordered)
            atomicMax(out, in[blockIdx.x]);
        else
            out[0] = in[blockIdx.x];
    }
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
