// An optional argument is used without asking for it.
// launch: block 32
// arguments: u32 0, fresh 128
// expect: memory line 6 block 0 thread 0 says the null address
extern "C" __global__ void wrong(const float *bias, float *out) {
    out[threadIdx.x] = bias[0] + 1.0f;
}

extern "C" __global__ void right(const float *bias, float *out) {
    out[threadIdx.x] = (bias ? bias[0] : 0.0f) + 1.0f;
}
