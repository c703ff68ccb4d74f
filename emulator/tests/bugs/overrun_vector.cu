// Vectors of four are stored although the length is no multiple of four: the last one is cut by the end.
// launch: block 32
// arguments: in 512, fresh 500, u32 125
// expect: memory line 8 block 0 thread 31 says byte 496 of the allocation of 500 bytes
extern "C" __global__ void wrong(const float4 *in, float4 *out, unsigned count) {
    unsigned i = threadIdx.x;
    if (4 * i < count)
        out[i] = in[i];
}

extern "C" __global__ void right(const float4 *in, float4 *out, unsigned count) {
    unsigned i = threadIdx.x;
    if (4 * i + 4 <= count)
        out[i] = in[i];
    else
        for (unsigned j = 4 * i; j < count; j++)
            ((float *)out)[j] = ((const float *)in)[j];
}
