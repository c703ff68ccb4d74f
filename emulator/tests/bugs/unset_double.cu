// Double-precision sums start from what happens to lie in the output.
// launch: block 32
// arguments: in 256, fresh 256
// expect: initialised line 6 block 0 thread 0 other 6 says byte 0 of the allocation of 256 bytes
extern "C" __global__ void wrong(const int *in, double *out) {
    out[threadIdx.x] = fma(out[threadIdx.x], 0.5, (double)in[threadIdx.x]);
}

extern "C" __global__ void right(const int *in, double *out) {
    out[threadIdx.x] = (double)in[threadIdx.x];
    out[threadIdx.x] = fma(((volatile double *)out)[threadIdx.x], 0.5, (double)in[threadIdx.x]);
}
