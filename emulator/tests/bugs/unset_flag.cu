// A flag that nobody wrote chooses the way.
// launch: block 32
// arguments: fresh 128, in 128, zero 128
// expect: initialised line 6 other 6 says global memory
extern "C" __global__ void wrong(const int *flags, const int *in, int *out) {
    if (flags[threadIdx.x] > 0) {
        out[threadIdx.x] = in[threadIdx.x];
        __threadfence();
        atomicAdd(out, 1);
    }
}

extern "C" __global__ void right(const int *flags, const int *in, int *out) {
    if (flags != nullptr && in[threadIdx.x] > 0) {
        out[threadIdx.x] = in[threadIdx.x];
        __threadfence();
        atomicAdd(out, 1);
    }
}
