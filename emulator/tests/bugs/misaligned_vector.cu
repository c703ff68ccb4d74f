// Pairs are loaded from a row that begins at an odd element.
// launch: block 16
// arguments: in 256, fresh 128, u32 33
// expect: memory line 6 block 0 thread 0 says misaligned access of 8 bytes
extern "C" __global__ void wrong(const float *in, float2 *out, unsigned width) {
    out[threadIdx.x] = ((const float2 *)(in + (width & 1)))[threadIdx.x];
}

extern "C" __global__ void right(const float *in, float2 *out, unsigned width) {
    const float *row = in + (width & 1);
    out[threadIdx.x] = make_float2(row[2 * threadIdx.x], row[2 * threadIdx.x + 1]);
}
